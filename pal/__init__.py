"""PAL: see, test and rate persona-aware alignment of dialogue models."""

__version__ = "0.1.0"
