"""The report from a tiny made-up evaluation."""

import argparse
import json
import re
from xml.etree import ElementTree

import pytest

from pal.chat.variants import shipped
from pal.commands import report
from pal.errors import DataError
from pal.evaluation.contenders import weights_hash
from pal.evaluation.report import Evaluation, Metric, escaped, of_earlier_adapters
from pal.files import sha256
from pal.settings import REPOSITORY
from pal.statistics import Estimate


def number(value, spread=0.1):
    return {"value": value, "low": value - spread, "high": value + spread}


def replies(c_score):
    shares = {"entails": 0.4, "contradicts": 0.05, "parrots_any": 0.1, "relevance": 0.3, "distinct_1": 0.2}
    return {"c_score": number(c_score), **{name: number(value) for name, value in shares.items()}}


def selection(accuracy):
    return {name: number(accuracy) for name in ("hit_at_1", "auc", "accuracy", "f1")}


def contender(variant, choice="predicted", adapter=None):
    return {
        "variant": variant,
        "choice": choice,
        "adapter": adapter or variant,
        "engine": {"name": "llama.cpp", "quantisation": "Q4_1"},
    }


RESULTS = {
    "settings": {
        "data": {"file": "dialogues_dev.jsonl", "sha256": "x", "limit": 50, "part": "report"},
        "contenders": {
            name: contender(variant, choice)
            for name, variant, choice in (
                ("baseline", "baseline", "predicted"),
                ("aligned", "aligned", "predicted"),
                ("aligned-none", "aligned", "none"),
            )
        },
        "win_rate_margin": 0.1,
        "decoding": {"temperature": 0.7, "top_p": 0.9},
        "left_out": ["--no-pure"],
    },
    "counts": {"dialogues": 7, "turns": 50, "labelled_turns": 50, "persona_turns": 30, "none_turns": 20},
    "contenders": {
        "baseline": {"replies": replies(0.123)},
        "aligned": {"selection": selection(0.5), "replies": replies(0.456)},
        "aligned-none": {"replies": replies(0.2)},
        "gold": {"replies": replies(0.55)},
    },
    "selection_baselines": {name: selection(0.4) for name in ("always_none", "idf_overlap", "minilm_cosine")},
    "differences": {
        "aligned - baseline": {"replies": {"c_score": number(0.333), "entails": number(0.01)}},
        "aligned-none - aligned": {"replies": {"c_score": number(-0.256)}},
        "gold - aligned": {"replies": {"c_score": number(0.094)}},
    },
    "win_rates": {
        "aligned - baseline": {
            "win_rate": number(0.6),
            "win": number(0.45),
            "tie": number(0.3),
            "loss": number(0.25),
        },
    },  # fmt: skip
}
_F1 = {label: {"f1": 0.123} for label in ("contradiction", "neutral", "entailment")}
CONSISTENCY = {
    "data": "challenge.jsonl",
    "weights": "8 bits",
    **{
        name: {"pairs": 9, "accuracy": 0.5, "macro_f1": 0.321, "classes": _F1, "confusion": [[1, 2, 0]] * 3}
        for name in ("model", "cosine", "always_neutral")
    },
    "calibration_error": 0.0987,
    "calibration_bins": [{"low": 0.4, "high": 0.6, "pairs": 9, "confidence": 0.52, "accuracy": 0.5}],
    "accuracy_by_kind": {"other_value": {"pairs": 4, "accuracy": 0.25}},
    "worst_mistakes": [
        {
            "premise": "I sail.",
            "hypothesis": "I *hate* | boats.",
            "label": "contradiction",
            "verdict": "neutral",
            "probabilities": [0.01, 0.98, 0.01],
        }
    ],
}
LABELS = {
    "files": {name: {"new_persona": 600, "new_none": 55} for name in ("a.jsonl", "b.jsonl")},
    "agreement": {
        "file": "dev.jsonl",
        "turns": 3907,
        "persona_or_none": 0.9,
        "kappa": 0.8,
        "same_set": 0.82,
        "strongest_in_given": 0.97,
    },
}
README = "# PAL\n\n## Results\n\n<!-- results:begin -->\nold 0.999\n<!-- results:end -->\n\n## After\n"


def write(folder, results, rows=()):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "results.json").write_text(json.dumps(results))
    (folder / "replies.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


@pytest.fixture
def place(tmp_path):
    """A repository with an evaluation in it."""
    (tmp_path / "README.md").write_text(README)
    write(tmp_path / "results" / "dev", RESULTS)
    return tmp_path


@pytest.fixture(autouse=True)
def drawn(request, monkeypatch):
    """Plots cost seconds: only tests that ask for ``plots`` draw them."""
    if "plots" not in request.fixturenames:
        monkeypatch.setattr(report, "draw", lambda *_: ["replies", "win_rates", "selection"])


@pytest.fixture
def plots():
    """Asks for real plots."""


def run(place, *options):
    parser = argparse.ArgumentParser()
    report.add_arguments(parser)
    files = ["--out", str(place / "assets" / "results"), "--readme", str(place / "README.md")]
    assert report.run(parser.parse_args(["--replies", str(place / "results" / "dev"), *files, *options])) == 0
    return (place / "README.md").read_text(), (place / "assets" / "results" / "README.md").read_text()


def test_the_readme_gets_the_numbers_between_its_markers_and_nothing_else_changes(place):
    readme, _ = run(place)
    assert readme.startswith("# PAL\n\n## Results\n\n<!-- results:begin -->\n")
    assert readme.endswith("<!-- results:end -->\n\n## After\n")
    assert "0.999" not in readme
    assert "| Aligned | 0.456 (0.356 to 0.556) | 40.0 % (30.0 to 50.0) |" in readme
    assert "| gold replies | 0.550" in readme
    assert "| MiniLM cosine (untrained) | 0.400" in readme
    assert "50 turns of 7 dialogues of `dialogues_dev.jsonl`" in readme
    assert "at temperature 0.7 and top-p 0.9, llama.cpp Q4_1" in " ".join(readme.split())
    assert "(assets/results/README.md)" in readme and "](assets/results/replies.svg)" in readme
    again, _ = run(place)
    assert again == readme


def test_the_whole_report_has_differences_win_rates_and_the_command(place):
    _, whole = run(place)
    assert "| Aligned − Baseline | **+0.333 (+0.233 to +0.433)** | +1.0 pp (-9.0 to +11.0) |" in whole
    assert "| Aligned, no selection − Aligned | **-0.256 (-0.356 to -0.156)** | – |" in whole
    assert "| Aligned against Baseline | 60.0 % (50.0 to 70.0) | 45.0 % (35.0 to 55.0) | 30.0 %" in whole
    command = (
        "python -m pal evaluate --data dialogues_dev.jsonl --part report --limit 50 "
        "--variants baseline,aligned --without-selection --decoding page --no-pure --out results/dev\n"
    )
    assert command in re.sub(r" \\\n\s+", " ", whole)


def test_plots_are_small_readable_and_the_same_for_the_same_numbers(place, plots):
    _, whole = run(place)
    plots = sorted((place / "assets" / "results").glob("*.svg"))
    assert [plot.name for plot in plots] == ["replies.svg", "selection.svg", "win_rates.svg"]
    first = [plot.read_bytes() for plot in plots]
    assert all(len(content) < 60_000 for content in first)
    texts = "".join(ElementTree.fromstring(first[0]).itertext())
    assert "Aligned, no selection" in texts and "C.score" in texts
    assert all(f"]({plot.name})" in whole for plot in plots)
    run(place)
    assert [plot.read_bytes() for plot in plots] == first


def test_conversations_are_told(place):
    out = place / "assets" / "results"
    out.mkdir(parents=True)
    names = ("entails", "contradicts", "parrots", "evades", "repeats_itself", "echoes", "asks", "words")
    signs = {"aligned": {name: number(0.5 + place / 10) for place, name in enumerate(names)}}
    found = {"counts": {"conversations": 60, "turns": 360}, "signs": signs}
    (out / "conversations.json").write_text(json.dumps(found))
    _, whole = run(place)
    assert (
        "| Aligned | 50.0 % (40.0 to 60.0) | 60.0 % (50.0 to 70.0) |" in whole
        and "| 1.2 (1.1 to 1.3) |" in whole
    )


def test_the_consistency_model_and_its_labels_are_told(place):
    out = place / "assets" / "results"
    out.mkdir(parents=True)
    (out / "consistency_challenge.json").write_text(json.dumps(CONSISTENCY))
    assert "kappa" not in run(place)[1]
    (out / "labels.json").write_text(json.dumps(LABELS))
    _, whole = run(place)
    assert "| consistency model | 0.123 | 0.123 | 0.123 | 0.321 | 0.500 |" in whole
    assert "| **entailment** | 1 | 2 | 0 |" in whole and "error 0.099" in whole
    assert "| other value | 4 | 0.250 |" in whole
    assert "| I sail. | I \\*hate\\* \\| boats. | contradiction | neutral, 98% |" in whole
    assert "1,200 turns got a sentence and 110 none" in " ".join(whole.split())


def test_what_other_commands_and_people_wrote_is_included_and_what_is_missing_left_out(place):
    _, whole = run(place)
    assert not any(
        word in whole
        for word in ("Plain questions", "Time and memory", "Sample replies", "relevance measure")
    )
    out = place / "assets" / "results"
    found = {"accuracy": number(0.8), "hit_at_1": number(0.9), "auc": None}
    questions = {"counts": {"questions": 9, "answerable": 6}, "selectors": {"prior alone": found}}
    (out / "plain_questions.json").write_text(json.dumps(questions))
    measures = {"cosine": {"accuracy": number(0.85), "auc": number(0.82)}}
    relevance = {
        "pairs": 300, "data": {"file": "d.jsonl", "part": "report"}, "measures": measures,
        "margin": {"value": 0.1, "decided": 0.7, "right": 0.91},
    }  # fmt: skip
    (out / "relevance.json").write_text(json.dumps(relevance))
    (out / "notes.md").write_text("## Negative results\n\nTried in vain.\n")
    readme, whole = run(place)
    assert "| prior alone | 0.800 (0.700 to 0.900) | 0.900 (0.800 to 1.000) | – |" in readme
    assert "9 messages of our own" in readme and "; 3 have no answer" in readme
    assert "Tried in vain." in whole and "Tried in vain." not in readme
    assert "| cosine | 0.850" in whole and "(70% of the pairs), it is right in 91%" in whole


def test_right_answers_are_reported_with_the_checkers_worth(place):
    right = {"answers": 136, "right": number(0.6), "contradicts": number(0.2)}
    detection = {name: number(0.7) for name in ("kappa", "precision", "recall", "f1")}
    held_out = {
        "answers": 195,
        "wrong": detection,
        "contradicts": detection,
        "findings": {"number": {"answers": 8, "wrong": 8, "contradicts": 7}},
        "variants": {"aligned": {"read": number(0.4), "checked": number(0.5)}},
    }
    answers = {
        "settings": {"replies": {"file": "answers.jsonl"}},
        "variants": {"stage1": right, "aligned": right},
        "differences": {"aligned - stage1": number(0.111), "stage1 - own": None},
        "agreement": {"held-out": held_out},
        "readers": {"answers": 100, "right": {"kappa": number(0.9)}},
    }
    assert "Right answers" not in run(place)[1]
    (place / "assets" / "results" / "answers.json").write_text(json.dumps(answers))
    readme, whole = run(place)
    assert "| Stage 1 | 136 | 60.0 % (50.0 to 70.0) |" in readme and "195 labelled replies" in readme
    assert "| number | 8 | 8 | 7 |" in whole and "| number | 8" not in readme
    assert "| Aligned | 40.0 % (30.0 to 50.0) | 50.0 % (40.0 to 60.0) |" in whole
    assert "--replies assets/labels/answers.jsonl" in whole and "stage1 - own" not in whole


def test_ablations_have_a_section_of_their_own_and_only_new_differences(place):
    few = {
        **RESULTS,
        "counts": {**RESULTS["counts"], "turns": 20},
        "contenders": {**RESULTS["contenders"], "untuned": {"replies": replies(0.789)}},
        "differences": {
            "aligned - baseline": {"replies": {"c_score": number(0.111)}},
            "untuned - baseline": {"replies": {"c_score": number(0.222)}},
        },
    }
    readme, whole = run(place, "--ablations", str(write(place / "results" / "few", few)))
    section = whole[whole.index("## Ablations") : whole.index("## Selection")]
    assert "20 turns of 7" in section and "| untuned base | 0.789" in section
    assert "untuned base − Baseline | **+0.222" in section and "0.111" not in whole
    assert "--ablations results/dev-ablations" in whole and "0.789" not in readme
    names = {path.name for path in (place / "assets" / "results").glob("*.json")}
    assert names == {"dev.json", "dev-ablations.json"}


@pytest.fixture
def samples(place, monkeypatch):
    """Our own dialogues, and an evaluation of them."""
    own = place / "sample_dialogues.jsonl"
    own.write_text(
        "".join(json.dumps({"id": name}) + "\n" for name in ("one", "two", "three", "four", "five"))
    )
    monkeypatch.setattr(report, "SAMPLES", own)
    settings = {
        **RESULTS["settings"],
        "data": {"file": own.name, "sha256": sha256(own), "limit": 0, "part": "all"},
    }
    rows = [
        {
            "dialogue": name, "contender": contender, "persona": ["I sail.", "I cook."], "user": f"{name}?",
            "selected": 1, "reply": "I *cook* | <b>soup</b>", "verdicts": [-1, 1],
        }
        for name in ("one", "two", "three", "four", "five")
        for contender in ("aligned", "gold")
    ]  # fmt: skip
    return write(place / "results" / "samples", {**RESULTS, "settings": settings}, rows)


def test_all_samples_are_in_the_report_and_a_seeded_draw_in_the_readme(place, samples):
    readme, whole = run(place, "--samples", str(samples))
    asked = re.compile(r"^> (\w+)\?$", re.M)
    assert asked.findall(whole) == ["one", "two", "three", "four", "five"]
    assert len(asked.findall(readme)) == 3 and "drawn with seed 0" in readme
    assert "sample_dialogues.jsonl --untuned --no-perplexity --decoding page --out results/samples" in whole
    assert r"| Aligned | [2] | I \*cook\* \| &lt;b&gt;soup&lt;/b&gt; | −1 +2 |" in whole


def test_samples_of_other_data_are_refused_before_anything_is_written(place, samples):
    write(samples, RESULTS)
    with pytest.raises(DataError, match="only replies to sample_dialogues.jsonl"):
        run(place, "--samples", str(samples))
    assert not (place / "assets").exists() and (place / "README.md").read_text() == README


def test_no_text_of_the_data_is_written(place):
    row = {
        "dialogue": "d",
        "contender": "aligned",
        "persona": ["secret persona"],
        "user": "secret",
        "reply": "secret",
    }
    write(place / "results" / "dev", RESULTS, [row])
    run(place)
    written = [*(place / "assets" / "results").iterdir(), place / "README.md"]
    assert not any("secret" in path.read_text() for path in written)


@pytest.mark.parametrize("text", ["# PAL\n", README + README, README.replace("begin", "stop")])
def test_a_readme_without_its_markers_is_refused(place, text):
    (place / "README.md").write_text(text)
    with pytest.raises(DataError, match="results:begin"):
        run(place)
    assert (place / "README.md").read_text() == text and not (place / "assets").exists()


def test_a_missing_evaluation_names_its_command(place):
    with pytest.raises(DataError, match="run “python -m pal evaluate --out .*nowhere” first"):
        run(place, "--samples", str(place / "nowhere"))


def test_results_of_an_older_version_are_refused(place):
    write(place / "results" / "dev", {"variants": {}})
    with pytest.raises(DataError, match="settings, counts, contenders.* is missing"):
        run(place)


def test_a_difference_is_known_both_ways_round():
    found = Evaluation(RESULTS)
    forward = found.difference("aligned", "baseline", "replies", "c_score")
    assert forward == Estimate(0.333, 0.333 - 0.1, 0.333 + 0.1)
    back = found.difference("baseline", "aligned", "replies", "c_score")
    assert (back.value, back.low, back.high) == (-forward.value, -forward.high, -forward.low)
    assert found.difference("gold", "baseline", "replies", "c_score") is None
    assert found.win("baseline", "aligned", "win_rate").value == pytest.approx(0.4)
    assert found.win("baseline", "aligned", "tie").value == 0.3
    assert found.win("baseline", "aligned", "win").value == 0.25
    assert found.win("gold", "aligned", "win") is None


CONTENDERS = {
    **{name: contender(name) for name in ("baseline", "stage1", "aligned")},
    "untuned": contender("baseline", adapter="none"),
    "dpo": contender("baseline", adapter="dpo"),
    "stage1-none": contender("stage1", "none"),
    "told": contender("aligned", "gold"),  # what it is, its settings say, not its name
}


def test_pairs_that_answer_a_question():
    evaluation = Evaluation({"settings": {"contenders": CONTENDERS}})
    assert evaluation.telling_pairs([*CONTENDERS, "gold"]) == [
        ("aligned", "stage1"), ("stage1", "baseline"), ("aligned", "baseline"), ("untuned", "baseline"),
        ("dpo", "baseline"), ("stage1-none", "stage1"), ("told", "aligned"), ("gold", "aligned"),
    ]  # fmt: skip
    assert evaluation.telling_pairs(["stage1-none"]) == []
    assert evaluation.telling_pairs(["baseline", "stage1", "dpo"], known=["baseline", "stage1"]) == [
        ("dpo", "baseline")
    ]


def test_titles_and_cells():
    evaluation = Evaluation({"settings": {"contenders": CONTENDERS}})
    assert evaluation.title("told") == "Aligned, gold sentence"
    assert evaluation.title("stage1-none") == "Stage 1, no selection"
    assert evaluation.title("dpo_from_baseline") == "dpo from baseline"
    assert Metric("", "", "", 1, 100).show(Estimate(0.123, 0.1, 0.2)) == "12.3 % (10.0 to 20.0)"
    assert Metric("", "", "").show(None) == "–"
    assert Metric("", "", "", 2).show(Estimate(0.5, float("nan"), float("nan"))) == "0.50"
    assert escaped("a\nb  [c] _d_ e_f <g> | *") == r"a b \[c\] \_d\_ e_f &lt;g&gt; \| \*"


def test_the_committed_report_is_that_of_the_committed_numbers(tmp_path):
    """All but the samples, whose replies are not committed."""
    committed = REPOSITORY / "assets" / "results"
    out = tmp_path / "assets" / "results"
    out.mkdir(parents=True)
    for path in (*committed.glob("*.json"), committed / "notes.md"):
        (out / path.name).write_bytes(path.read_bytes())
    (tmp_path / "README.md").write_text(README)
    options = []
    for name, option in (("dev", "--replies"), ("dev-ablations", "--ablations")):
        results = json.loads((committed / f"{name}.json").read_text())
        options += [option, str(write(tmp_path / name, results))]
    parser = argparse.ArgumentParser()
    report.add_arguments(parser)
    options += ["--out", str(out), "--readme", str(tmp_path / "README.md")]
    assert report.run(parser.parse_args(options)) == 0

    def sections(path):
        parts = re.split(r"^(?=##)", path.read_text(), flags=re.M)
        return [part for part in parts if "## Sample" not in part and "## Commands" not in part]

    assert sections(out / "README.md") == sections(committed / "README.md")


def test_figures_of_earlier_adapters_say_so():
    committed = {variant.name: weights_hash(variant) for variant in shipped()}
    assert not of_earlier_adapters({"adapters": committed}) and not of_earlier_adapters({})
    assert of_earlier_adapters({"adapters": committed | {"aligned": "another"}})
    assert of_earlier_adapters({"contenders": {"aligned": {"adapter": "another"}, "own": {"adapter": "x"}}})
    assert not of_earlier_adapters({"contenders": {"aligned": {"adapter": committed["aligned"]}}})
