"""The real base model, shared by all tests (fetched once into the user's cache)."""

from collections import Counter

import pytest

from pal.dialogue.prompt import BaseTokenizer, Renderer
from pal.models import bases


@pytest.fixture(scope="session")
def base_gguf():
    """The base model's GGUF file."""
    return bases.fetch_base()


@pytest.fixture(scope="session")
def tokenizer(base_gguf):
    """The base model's tokenizer."""
    return BaseTokenizer(bases.base_tokenizer_path())


@pytest.fixture(scope="session")
def renderer(tokenizer):
    """The sequence of training and serving over the real tokenizer."""
    return Renderer(tokenizer)


def pytest_terminal_summary(terminalreporter):
    """Tests and seconds of each room, slowest first."""
    tests, seconds = Counter(), Counter()
    for reports in terminalreporter.stats.values():
        for report in reports:
            if isinstance(report, pytest.TestReport):
                parts = report.nodeid.split("/")
                room = parts[1] if len(parts) > 2 else "tests"
                seconds[room] += report.duration
                tests[room] += report.when == "call"
    terminalreporter.section("seconds by room", sep="-")
    for room, spent in seconds.most_common():
        terminalreporter.write_line(f"{room:<12}{tests[room]:>5} tests {spent:>7.1f} s")
