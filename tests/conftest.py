"""The real base model, shared by all tests (fetched once into the user's cache)."""

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
