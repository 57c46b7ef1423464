"""Rejected replies: how pairs of each kind come about.

========== ========================= =================================================
kind       chosen                    rejected
========== ========================= =================================================
history    the data set's reply      the model's, to the history without any persona
                                     (the paper's pairs)
parroting  the data set's reply      the model's, which recites a sentence unasked
untrue     the model's right reply,  the model's wrong reply to the same prompt
           else the data set's
corrupted  the data set's reply      the same with one detail made wrong on purpose
========== ========================= =================================================

The model's replies are sampled as the page samples, so that what is rejected is
what a visitor would read. Each pair's draws depend on its id, not on its place.
"""

from __future__ import annotations

import dataclasses
import itertools
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from zlib import crc32

from tqdm import tqdm

from pal import engines
from pal.dialogue.prompt import Renderer
from pal.dialogue.text_metrics import recites
from pal.dialogue.turns import Exchange
from pal.engines.base import Cancel, Decoding, Done, Engine, Failed, ReplyRequest
from pal.errors import DataError, EngineError
from pal.evaluation.answers import check_answer
from pal.models.consistency import ConsistencyModel
from pal.models.contradictions import ConsistencyScorer
from pal.settings import Settings
from pal.training.corruptions import corruptions
from pal.training.examples import Example, shuffled
from pal.training.pairs import Pair, read_pairs, write_pair
from pal.training.questions import asks_for
from pal.training.recipe import Recipe
from pal.training.sft import load_examples

MADE_KINDS = ("history", "parroting", "untrue", "corrupted")


class Judge(Protocol):
    """Says whether a reply to the prompt of a pair is right."""

    def __call__(self, reply: str, pair: Pair) -> bool | None:
        """True right, False wrong, None when it cannot tell."""


@dataclass(frozen=True)
class AnswerJudge:
    """``pal.evaluation.answers`` as a judge. Where the message does not ask for the
    sentence, only a reply that contradicts the persona is wrong."""

    scorer: ConsistencyScorer

    def __call__(self, reply: str, pair: Pair) -> bool | None:
        """See ``Judge``."""
        question = pair.user or ""
        verdict = check_answer(question, reply, pair.persona, pair.selected, self.scorer)
        asked = asks_for(question, pair.persona[pair.selected])
        wrong = asked or any(finding.contradicts for finding in verdict.findings)
        return True if verdict.right else (False if wrong else None)


@dataclass(frozen=True)
class Sampler:
    """One model's replies: ``variant`` of an engine, drawn from ``seed`` on."""

    engine: Engine
    variant: str
    renderer: Renderer
    seed: int

    def draw(self, pair: Pair, prompt: list[int], draws: int) -> Iterator[str]:
        """Replies to a prompt, drawn one after the other as they are asked for.

        Raises:
            EngineError: the engine failed.
        """
        name = pair.id if pair.kind == "history" else f"{pair.id}/{pair.kind}"
        first = self.seed + crc32(name.encode())
        for draw in range(draws):
            request = ReplyRequest(self.variant, prompt, Decoding(), first + draw, pair.dialogue)
            yield self._reply(request, pair)

    def _reply(self, request: ReplyRequest, pair: Pair) -> str:
        for event in self.engine.stream([request], Cancel()):
            if isinstance(event, Done):
                return event.text.strip()
            if isinstance(event, Failed):
                raise EngineError(f"{pair.id}: {event.message}")
        raise EngineError(f"{pair.id}: the engine ended without a reply.")


def prompts(example: Example, seed: int, kind: str, *, persona_bearing_only: bool = True) -> list[Pair]:
    """Pairs of an example that still lack their rejected reply of a kind.

    An exchange whose reply is not to be trained gives none, and where the message
    asks for a sentence no reply is to be rejected for reciting.
    """
    example = shuffled(example, seed)
    left_out = example.untrained | (example.asked if kind == "parroting" else frozenset())
    return [
        Pair(
            id=f"{example.id}#{number}",
            dialogue=example.id,
            persona=example.sentences,
            history=example.exchanges[:number],
            user=exchange.user,
            selected=exchange.selected,
            chosen=exchange.reply,
            rejected="",
            kind=kind,
        )
        for number, (exchange, label) in enumerate(zip(example.exchanges, example.labels, strict=True))
        if (label or (label is not None and not persona_bearing_only)) and number not in left_out
    ]


def history_only(renderer: Renderer, pair: Pair) -> list[int]:
    """The generation prompt with no persona at all: generic by construction."""
    history = [Exchange(exchange.user, exchange.reply, None) for exchange in pair.history]
    return renderer.reply_prompt((), history, pair.user, None)


def whole_prompt(renderer: Renderer, pair: Pair) -> list[int]:
    """The generation prompt of the pair, persona and sentence included."""
    return renderer.reply_prompt(pair.persona, pair.history, pair.user, pair.selected)


def generic_pair(pair: Pair, sampler: Sampler) -> Pair | None:
    """The pair with a reply to the history alone rejected; None when it is empty or the chosen one."""
    return _first(pair, sampler.draw(pair, history_only(sampler.renderer, pair), 1), lambda reply: True)


def parroting_pair(pair: Pair, sampler: Sampler, draws: int) -> Pair | None:
    """The pair with the first of the draws rejected that recites a sentence which the
    message does not ask for; None when none does."""
    unasked = [sentence for sentence in pair.persona if not asks_for(pair.user, sentence)]
    replies = sampler.draw(pair, whole_prompt(sampler.renderer, pair), draws)
    return _first(pair, replies, lambda reply: recites(reply, unasked))


def untrue_pair(pair: Pair, sampler: Sampler, judge: Judge, draws: int) -> Pair | None:
    """The first wrong one of the model's own replies rejected, for its first right one;
    the data set's is chosen when none of the draws is right. None when none is wrong."""
    right, wrong = None, None
    for reply in sampler.draw(pair, whole_prompt(sampler.renderer, pair), draws):
        verdict = judge(reply, pair) if reply else None
        right = right or (reply if verdict else None)
        wrong = wrong or (reply if verdict is False and reply != pair.chosen else None)
        if right and wrong:
            break
    return dataclasses.replace(pair, chosen=right or pair.chosen, rejected=wrong) if wrong else None


def corrupted_pairs(pair: Pair, seed: int) -> list[Pair]:
    """A pair for each detail of the chosen reply that can be made wrong."""
    rng = random.Random(f"{seed}:{pair.id}")
    wrong = corruptions(pair.chosen, pair.persona[pair.selected], rng)
    return [dataclasses.replace(pair, rejected=item.text, detail=item.detail) for item in wrong]


def _first(pair: Pair, replies: Iterable[str], fits: Callable[[str], bool]) -> Pair | None:
    good = (reply for reply in replies if reply and reply != pair.chosen and fits(reply))
    rejected = next(good, None)
    return dataclasses.replace(pair, rejected=rejected) if rejected else None


def make_pairs(
    prompted: Sequence[Pair], sampler: Sampler, recipe: Recipe, judge: Judge
) -> Iterator[list[Pair]]:
    """The finished pairs of each prompt in turn, by its kind; none where no reply fits.

    Raises:
        EngineError: the engine failed.
    """
    for pair in prompted:
        if pair.kind == "corrupted":
            yield corrupted_pairs(pair, recipe.seed)
            continue
        if pair.kind == "history":
            made = generic_pair(pair, sampler)
        elif pair.kind == "parroting":
            made = parroting_pair(pair, sampler, recipe.parroting_draws)
        else:
            made = untrue_pair(pair, sampler, judge, recipe.untrue_draws)
        yield [made] if made else []


def prompts_of(examples: Sequence[Example], kinds: Sequence[str], seed: int) -> list[Pair]:
    """The prompts of all examples, kind after kind.

    Raises:
        DataError: a kind that is not made from data.
    """
    if strange := [kind for kind in kinds if kind not in MADE_KINDS]:
        raise DataError(
            f"Pairs of the kind “{strange[0]}” are not made from data; give {', '.join(MADE_KINDS)}."
        )
    return list(
        itertools.chain.from_iterable(prompts(example, seed, kind) for kind in kinds for example in examples)
    )


def finished_pairs(path: Path, prompted: Iterable[Pair]) -> set[tuple[str, str]]:
    """(id, kind) of what an earlier, stopped run has written; a half-written last line is removed.

    Raises:
        DataError: the file holds pairs of other data.
    """
    if not path.exists():
        return set()
    text = path.read_text(encoding="utf-8")
    if not text.endswith("\n"):
        path.write_text(text[: text.rfind("\n") + 1], encoding="utf-8")
    if not path.read_text(encoding="utf-8"):
        return set()
    done = {(pair.id, pair.kind) for pair in read_pairs(path)}
    if strangers := done - {(pair.id, pair.kind) for pair in prompted}:
        raise DataError(f"{path} holds pairs of other data ({sorted(strangers)[0][0]}): give another --out.")
    return done


def write_pairs(
    prompted: Sequence[Pair],
    path: Path,
    sampler: Sampler,
    recipe: Recipe,
    judge: Judge,
    progress: Callable[[int], None],
) -> None:
    """Append the pairs of prompts that ``path`` does not hold yet, each prompt's at once.

    ``progress`` is called with 1 for every prompt.
    """
    done = finished_pairs(path, prompted)
    missing = [pair for pair in prompted if (pair.id, pair.kind) not in done]
    progress(len(prompted) - len(missing))
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        for pairs in make_pairs(missing, sampler, recipe, judge):
            file.write("".join(map(write_pair, pairs)))
            file.flush()
            progress(1)


def pairs_from_data(
    recipe: Recipe, data: Path, stage1: Path, out: Path, settings: Settings, kinds: Sequence[str] = ()
) -> None:
    """Write the pairs of a recipe's data, rejected replies by the adapter ``stage1``, into
    ``out``, or go on with a run that stopped there.

    Args:
        settings: say which engine writes the replies.
        kinds: of ``MADE_KINDS``; () is history, and parroting where the recipe draws for it.

    Raises:
        DataError: a kind that is not made from data, or data that cannot be used.
        EngineError: the engine failed.
    """
    kinds = kinds or ("history", *(["parroting"] if recipe.parroting_draws else []))
    examples, _ = load_examples(recipe, data)
    prompted = prompts_of(examples, kinds, recipe.seed)
    judge = AnswerJudge(ConsistencyModel.load())
    engine = engines.open(settings, {"stage1": stage1})
    try:
        sampler = Sampler(engine, "stage1", engine.renderer, recipe.seed)
        with tqdm(total=len(prompted), desc="pairs", unit="prompt") as bar:
            write_pairs(prompted, out, sampler, recipe, judge, bar.update)
    finally:
        engine.close()
