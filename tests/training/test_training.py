"""A few steps of a tiny model: losses fall, margins rise, resume is exact."""

import copy
import dataclasses
import json
import math
import shutil

import pytest
import torch
from accelerate.state import AcceleratorState
from safetensors.torch import load_file

from pal.dialogue.turns import Exchange
from pal.errors import DataError, RecipeError
from pal.training.align import AlignTask, ancestors, grow, prepare_reference, reference_key
from pal.training.examples import Example
from pal.training.loop import accelerator_for, batch_items, total_steps, train
from pal.training.pairs import Pair, read_pairs, write_pair
from pal.training.policy import Policy, collate, load_adapter, new_adapter
from pal.training.recipe import DataSource, Recipe
from pal.training.sft import SftTask
from tests.support.tiny import tiny_model, tiny_renderer

EXAMPLES = [
    Example(
        f"e{number}",
        ("I am a nurse.", f"I have {number} cats.", "I sail."),
        (
            Exchange("Hi!", "Hello, nice to meet you!", None),
            Exchange("What do you do?", "I am a nurse.", 0),
            Exchange("Any pets?", f"Yes, {number} cats.", 1),
        ),
        ((), (0,), (1,)),
        exhaustive=number != 3,
    )
    for number in range(2, 6)
]
RECIPE = Recipe(
    task="stage1", data=(DataSource("none"),), batch=2, steps=6, warmup_steps=1, learning_rate=5e-2, rank=4,
    alpha=8, save_steps=3, final_learning_rate=0.5,
)  # fmt: skip


@pytest.fixture(scope="module")
def renderer():
    return tiny_renderer()


@pytest.fixture(scope="module")
def base():
    return tiny_model()


def fresh(base, renderer, recipe=RECIPE):
    model = new_adapter(base, recipe.rank, recipe.alpha, recipe.dropout, recipe.seed)
    return Policy(model, renderer.option_ids(9))


def unwrap(policy):
    """Take the adapter out of the shared base again."""
    policy.model.unload()


def run(base, renderer, recipe, out, examples=EXAMPLES):
    accelerator = accelerator_for(recipe)
    policy = fresh(base, renderer, recipe)
    try:
        return train(
            SftTask(examples, renderer, recipe, accelerator.device),
            policy,
            recipe,
            out,
            accelerator,
            {"d": "1"},
        )
    finally:
        unwrap(policy)


def weights(out):
    return load_file(next((out / "state").glob("*/weights.safetensors")))


def test_stage1_losses_fall_and_resume_equals_an_unbroken_run(base, renderer, tmp_path, monkeypatch):
    whole = run(base, renderer, RECIPE, tmp_path / "whole")
    assert whole[-1]["reply"] < 0.8 * whole[0]["reply"]
    assert whole[-1]["selection"] < 0.9 * whole[0]["selection"]

    class Killed(Exception):
        pass

    import pal.training.loop as loop

    step = loop._step

    def killed_in_step_five(task, policy, optimizer, recipe, number, *rest):
        if number == 4:
            raise Killed
        return step(task, policy, optimizer, recipe, number, *rest)

    monkeypatch.setattr(loop, "_step", killed_in_step_five)
    with pytest.raises(Killed):
        run(base, renderer, RECIPE, tmp_path / "broken")
    monkeypatch.setattr(loop, "_step", step)
    resumed = run(base, renderer, RECIPE, tmp_path / "broken")
    assert resumed == whole
    for name, value in weights(tmp_path / "whole").items():
        torch.testing.assert_close(weights(tmp_path / "broken")[name], value, rtol=0, atol=1e-6)

    record = json.loads((tmp_path / "whole" / "record.json").read_text())
    assert record["finished_steps"] == 6 and record["data_sha256"] == {"d": "1"} and len(record["curve"]) == 6
    with pytest.raises(RecipeError, match="another recipe"):
        run(base, renderer, dataclasses.replace(RECIPE, seed=2), tmp_path / "whole")
    reloaded = Policy(
        load_adapter(base, tmp_path / "whole" / "adapter", trainable=False), renderer.option_ids(9)
    )
    unwrap(reloaded)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler")
def test_compiled_layers_give_the_same_losses_and_gradients(base, renderer):
    found = []
    for compiled in (False, True):
        model = copy.deepcopy(base)
        policy = fresh(model, renderer)
        if compiled:
            policy.compile_layers()
        task = SftTask(EXAMPLES, renderer, RECIPE, torch.device("cpu"))
        losses = task.losses(policy, [(0, 0), (0, 1)])
        (losses["reply"] + losses["selection"]).backward()
        gradients = [value.grad for value in policy.parameters() if value.requires_grad]
        found.append((losses["reply"], losses["selection"], *gradients))
    for plain, fused in zip(*found, strict=True):
        torch.testing.assert_close(fused, plain, rtol=1e-3, atol=1e-4)


def test_baseline_trains_replies_only(base, renderer, tmp_path):
    recipe = dataclasses.replace(RECIPE, task="baseline", steps=2)
    curve = run(base, renderer, recipe, tmp_path / "run")
    assert set(curve[0]) == {"step", "lr", "reply"}


def test_every_example_is_seen_once_an_epoch_and_no_batch_is_dropped():
    recipe = dataclasses.replace(RECIPE, steps=0, epochs=2, batch=4)
    items = [item for step in range(total_steps(recipe, 7)) for item in batch_items(recipe, 7, step)]
    assert sorted(items) == [(epoch, index) for epoch in range(2) for index in range(7)]
    assert len(batch_items(recipe, 7, total_steps(recipe, 7) - 1)) == 2


def test_padding_does_not_change_the_losses(base, renderer):
    policy = fresh(base, renderer)
    task = SftTask(EXAMPLES, renderer, RECIPE, torch.device("cpu"))
    examples = [dataclasses.replace(EXAMPLES[0], exchanges=EXAMPLES[0].exchanges[:1]), EXAMPLES[1]]
    task = SftTask(examples, renderer, RECIPE, torch.device("cpu"))
    with torch.no_grad():
        together = task.losses(policy, [(0, 0), (0, 1)])
        apart = [task.losses(policy, [(0, index)]) for index in range(2)]
    unwrap(policy)
    for name, value in together.items():
        assert value.item() == pytest.approx(sum(part[name].item() for part in apart), rel=1e-4)


def test_examples_with_positive_labels_only_never_train_none(renderer):
    sequence = renderer.training_sequence(EXAMPLES[0].sentences, EXAMPLES[0].exchanges, EXAMPLES[0].labels)
    complete = collate([sequence], [True], 2)
    positive = collate([sequence], [False], 2)
    assert len(complete.select_at) == 3 and len(positive.select_at) == 2
    assert complete.allowed[:, 0].all() and not positive.allowed[:, 0].any()


PAIRS = [
    Pair(
        f"d{number}#{at}", f"d{number}", ("I am a nurse.", "I sail."), history, user, selected, chosen,
        "I don't know, what about you?",
    )
    for number in range(2)
    for at, (history, user, selected, chosen) in enumerate(
        [
            ((Exchange("Hi!", f"Hello {number}!", None),), "What do you do?", 0, "I am a nurse."),
            (
                (Exchange("Hi!", f"Hello {number}!", None), Exchange("What do you do?", "I am a nurse.", 0)),
                "And for fun?", 1, "I love sailing on the lake.",
            ),
        ]
    )
]  # fmt: skip
ALIGN = dataclasses.replace(RECIPE, task="align", learning_rate=1e-3, steps=5, batch=2, sft_weight=0.1)


def test_the_dpo_margin_rises_from_zero(base, renderer, tmp_path):
    accelerator = accelerator_for(ALIGN)
    policy = fresh(base, renderer, ALIGN)
    task = AlignTask(PAIRS, renderer, ALIGN, accelerator.device)
    task.compute_reference(policy, tmp_path / "reference.json", "key")
    curve = train(task, policy, ALIGN, tmp_path / "run", accelerator, {})
    again = AlignTask(PAIRS, renderer, ALIGN, accelerator.device)
    again.compute_reference(policy, tmp_path / "reference.json", "key")
    unwrap(policy)
    assert curve[0]["_margin"] == pytest.approx(0, abs=1e-4)
    assert curve[-1]["_margin"] > 0.02 and curve[-1]["_accuracy"] == 1
    assert curve[0]["_chosen"] == pytest.approx(0, abs=1e-3) and curve[-1]["_rejected"] < curve[-1]["_chosen"]
    assert curve[-1]["dpo"] < curve[0]["dpo"]
    for mine, other in zip(task.reference, again.reference, strict=True):
        torch.testing.assert_close(mine, other)


def test_a_chosen_reply_that_has_fallen_costs_more_by_the_recipes_weight(base, renderer):
    policy = fresh(base, renderer, ALIGN)
    losses = []
    for weight in (0.0, 5.0):
        recipe = dataclasses.replace(ALIGN, positive_weight=weight)
        task = AlignTask(PAIRS, renderer, recipe, torch.device("cpu"))
        with torch.no_grad():
            task.reference = [task.log_probabilities(policy, [index]) + 2.0 for index in range(2)]
            losses.append(task.losses(policy, [(0, 0), (0, 1)])["dpo"].item())
    unwrap(policy)
    count, penalty = len(PAIRS), ALIGN.beta * 5.0 * 2.0
    assert losses[0] == pytest.approx(count * math.log(2), rel=1e-3)
    assert losses[1] == pytest.approx(count * math.log(1 + math.exp(penalty)), rel=1e-3)


def test_length_normalised_preferences_compare_means_per_token(base, renderer):
    recipe = dataclasses.replace(ALIGN, length_normalised=True)
    policy = fresh(base, renderer, recipe)
    plain, normalised = (AlignTask(PAIRS, renderer, each, torch.device("cpu")) for each in (ALIGN, recipe))
    items = [(0, 0), (0, 1)]
    with torch.no_grad():
        for task in (plain, normalised):
            task.reference = [task.log_probabilities(policy, [index]) - 8.0 for index in range(2)]
        found = {"plain": plain.losses(policy, items), "normalised": normalised.losses(policy, items)}
    unwrap(policy)
    lengths = [len(renderer.reply(pair.chosen)) - 1 for pair in PAIRS]
    assert found["plain"]["_chosen"].item() == pytest.approx(8.0 * len(PAIRS), rel=1e-3)
    assert found["normalised"]["_chosen"].item() == pytest.approx(sum(8.0 / n for n in lengths), rel=1e-3)
    assert found["plain"]["sft"].item() == pytest.approx(found["normalised"]["sft"].item())


def test_the_reference_is_computed_in_the_arithmetic_of_the_steps(base, renderer, tmp_path):
    recipe = dataclasses.replace(ALIGN, precision="bf16", steps=1)
    AcceleratorState._reset_state(reset_partial_state=True)  # the process keeps its first precision otherwise
    try:
        accelerator = accelerator_for(recipe)
        policy = fresh(base, renderer, recipe)
        task = AlignTask(PAIRS, renderer, recipe, accelerator.device)
        prepare_reference(task, policy, accelerator, tmp_path, "key")
        curve = train(task, policy, recipe, tmp_path / "run", accelerator, {})
    finally:
        unwrap(policy)
        AcceleratorState._reset_state(reset_partial_state=True)
    assert curve[0]["_margin"] == pytest.approx(0, abs=1e-4)
    assert reference_key("p", tmp_path / "run" / "adapter", precision="bf16") != reference_key(
        "p", tmp_path / "run" / "adapter"
    )


@pytest.mark.parametrize("selects", [True, False])
def test_a_token_tree_gives_the_log_probabilities_of_separate_sequences(base, renderer, selects):
    policy = fresh(base, renderer)
    task = AlignTask(PAIRS, renderer, ALIGN, torch.device("cpu"), selects=selects)
    with torch.no_grad():
        together = task.log_probabilities(policy, [0, 1])
        apart = []
        for pair in PAIRS:
            prompt = renderer.reply_prompt(
                pair.persona, pair.history, pair.user, pair.selected, selects=selects
            )
            for reply in (pair.chosen, pair.rejected):
                ids = prompt + renderer.reply(reply)[:-1]
                logits = base(torch.tensor([ids])).logits[0, len(prompt) - 1 : -1].log_softmax(-1)
                apart.append(logits.gather(-1, torch.tensor(ids[len(prompt) :])[:, None]).sum())
    unwrap(policy)
    torch.testing.assert_close(together, torch.stack(apart), rtol=1e-4, atol=1e-3)


def test_a_tree_shares_prefixes_and_sees_only_ancestors():
    tree = grow([([1, 2], [3]), ([1, 2], [4, 5]), ([1, 2, 3, 6], [7])])
    assert tree.ids == (1, 2, 3, 4, 5, 6, 7)
    assert tree.depths == (0, 1, 2, 2, 3, 3, 4)
    assert tree.replies == ((2,), (3, 4), (6,))
    assert ancestors(tree)[6].nonzero()[:, 0].tolist() == [0, 1, 2, 5, 6]


def test_pairs_round_trip_and_keep_duplicated_prompts_apart(tmp_path):
    path = tmp_path / "pairs.jsonl"
    twin = dataclasses.replace(PAIRS[0], id="twin", chosen="I'm a nurse, and you?")
    path.write_text("".join(write_pair(pair) for pair in [*PAIRS, twin]))
    assert read_pairs(path) == [*PAIRS, twin]
    path.write_text(write_pair(PAIRS[0]) * 2)
    with pytest.raises(DataError, match="line 2: id “d0#0” stands already on line 1"):
        read_pairs(path)


@pytest.mark.parametrize("changes", [{"rejected": " "}, {"selected": 2}, {"extra": 1}])
def test_a_malformed_pair_is_named(tmp_path, changes):
    path = tmp_path / "pairs.jsonl"
    path.write_text(json.dumps({**dataclasses.asdict(PAIRS[0]), **changes}) + "\n")
    with pytest.raises(DataError, match="line 1"):
        read_pairs(path)


def test_adapter_weights_are_stored_in_half_precision(base, renderer, tmp_path):
    run(base, renderer, dataclasses.replace(RECIPE, steps=1), tmp_path / "run")
    stored = load_file(tmp_path / "run" / "adapter" / "adapter_model.safetensors")
    assert {value.dtype for value in stored.values()} == {torch.float16}
