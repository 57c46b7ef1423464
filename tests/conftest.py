"""The real base model, shared by all tests (fetched once into the user's cache)."""

import pytest

from pal import checkpoints
from pal.prompt import Renderer
from pal.tokenizer import BaseTokenizer


@pytest.fixture(scope="session")
def base_gguf():
    """The base model's GGUF file."""
    return checkpoints.fetch_base()


@pytest.fixture(scope="session")
def tokenizer(base_gguf):
    """The base model's tokenizer."""
    return BaseTokenizer(checkpoints.base_tokenizer_path())


@pytest.fixture(scope="session")
def renderer(tokenizer):
    """The sequence of training and serving over the real tokenizer."""
    return Renderer(tokenizer)
