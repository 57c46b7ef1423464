"""Labels for unlabelled turns: given ones stay, new ones follow the model, agreement is counted right."""

import json

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score, precision_score, recall_score

from pal.dialogue.readers import read_dialogues
from pal.dialogue.turns import Dialogue, Utterance
from pal.training.labels import LabelCounts, agreement, compare, entailed, label_dialogue, label_file


class Overlap:
    """Entailment by the share of the sentence's words that the reply has."""

    def __init__(self):
        self.calls = 0

    def probabilities(self, pairs):
        self.calls += 1
        shares = [len(set(p.split()) & set(h.split())) / len(set(p.split())) for p, h in pairs]
        return np.array([[0.0, 1 - share, share] for share in shares])


DIALOGUE = Dialogue(
    "d", "test", {"A": ("cats purr",), "B": ("dogs bark", "fish swim fast")},
    (
        Utterance("A", "cats purr loudly"),
        Utterance("B", "fish swim fast and dogs bark", ()),
        Utterance("A", "ok"),
        Utterance("B", "dogs swim fast"),
    ),
)  # fmt: skip


def test_the_strongest_sentence_comes_first():
    assert entailed(Overlap(), ("a b c d e", "x y"), ["x y a b c", "z"]) == [(1, 0), ()]


def test_given_labels_stay_and_the_rest_is_labelled():
    labelled, counts = label_dialogue(DIALOGUE, Overlap())
    assert [turn.persona for turn in labelled.turns] == [(0,), (), (), (1,)]
    assert counts == LabelCounts(given_none=1, new_persona=2, new_none=1)


def test_a_stopped_labelling_goes_on_and_is_readable(tmp_path):
    out = tmp_path / "out" / "d.jsonl"
    dialogues = [Dialogue(f"d{n}", "t", DIALOGUE.personas, DIALOGUE.turns) for n in range(3)]

    def stop(_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        label_file(dialogues[:1] * 1 + dialogues[1:], Overlap(), out, lambda n: stop(n) if n else None)
    assert not out.exists()
    partial = out.with_name("d.jsonl.part")
    partial.write_text(partial.read_text() + '{"id": "half')
    scorer = Overlap()
    counts = label_file(dialogues, scorer, out, lambda _: None)
    assert counts == LabelCounts(given_none=3, new_persona=6, new_none=3)
    assert scorer.calls == 2 * 2  # two dialogues were left, two speakers each
    assert [dialogue.id for dialogue in read_dialogues(out)] == ["d0", "d1", "d2"]
    assert json.loads(out.read_text().splitlines()[0])["turns"][0]["persona"] == [0]


def test_agreement_matches_scikit_learn():
    rng = np.random.default_rng(1)
    given = [frozenset(np.flatnonzero(rng.random(4) < 0.3).tolist()) for _ in range(200)]
    own = [tuple(np.flatnonzero(rng.random(4) < 0.3).tolist()) for _ in range(200)]
    found = compare(given, own)
    flat = [[index in label for label in labels for index in range(4)] for labels in (given, own)]
    assert found.precision == pytest.approx(precision_score(*flat))
    assert found.recall == pytest.approx(recall_score(*flat))
    assert found.kappa == pytest.approx(cohen_kappa_score([bool(a) for a in given], [bool(b) for b in own]))
    assert found.same_set == sum(a == set(b) for a, b in zip(given, own, strict=True)) / 200


def test_agreement_looks_at_labelled_turns_alone():
    found = agreement([DIALOGUE], Overlap(), lambda _: None)
    assert (found.turns, found.given_none, found.own_none, found.same_set) == (1, 1.0, 0.0, 0.0)
