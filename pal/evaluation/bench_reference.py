"""Plain transformers in fp32, as a newcomer would write it: what ``bench`` compares with."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

import torch
from peft import PeftModel

from pal.dialogue.prompt import FORMAT, BaseTokenizer
from pal.engines.base import (
    Cancel,
    Delta,
    Done,
    Failed,
    Identity,
    Options,
    PrefillRequest,
    ReplyRequest,
    SelectRequest,
)
from pal.models import bases
from pal.models.adapters import adapter_hash


class PlainTransformers:
    """The Engine protocol over ``model.generate``: whole prompt every time, greedy."""

    def __init__(self, adapters: Mapping[str, Path]):
        base = bases.load_base_model()
        self.variants = tuple(adapters)
        self.identity = Identity(
            "transformers",
            version("transformers"),
            bases.BASE.sha256,
            "fp32",
            {name: adapter_hash(folder) for name, folder in adapters.items()},
            FORMAT,
        )
        self._model = PeftModel.from_pretrained(
            base, str(adapters[self.variants[0]]), adapter_name=self.variants[0]
        )
        for variant in self.variants[1:]:
            self._model.load_adapter(str(adapters[variant]), adapter_name=variant)
        self._model = self._model.float().eval()
        self.renderer = bases.open_renderer()
        self._tokenizer = BaseTokenizer(bases.base_tokenizer_path())

    @torch.no_grad()
    def select(self, requests: Sequence[SelectRequest], cancel: Cancel) -> Iterator[Options | Failed]:
        """One forward pass per request."""
        for request in requests:
            self._model.set_adapter(request.variant)
            logits = self._model(torch.tensor([request.tokens]), logits_to_keep=1).logits[0, -1]
            probabilities = logits[list(request.options)].float().softmax(-1)
            yield Options(request.variant, tuple(probabilities.tolist()), len(request.tokens))

    @torch.no_grad()
    def stream(self, requests: Sequence[ReplyRequest], cancel: Cancel) -> Iterator[Delta | Done | Failed]:
        """One ``generate`` per request; the reply comes in one piece."""
        for request in requests:
            begun = time.perf_counter()
            self._model.set_adapter(request.variant)
            limit = request.decoding.max_tokens
            prompt = torch.tensor([request.tokens])
            output = self._model.generate(
                input_ids=prompt,
                attention_mask=torch.ones_like(prompt),
                do_sample=False,
                max_new_tokens=limit,
                min_new_tokens=limit if request.decoding.ignore_end else None,
            )[0, len(request.tokens) :].tolist()
            text = self._tokenizer.decode(output).strip()
            yield Delta(request.variant, text)
            yield Done(request.variant, text, len(request.tokens), len(output), time.perf_counter() - begun)

    def prefill(self, requests: Sequence[PrefillRequest]) -> None:
        """Nothing: no cache is kept."""

    def close(self) -> None:
        """Nothing to free before the process ends."""
