"""``python -m tests.support.train_tiny OUT``: train a tiny model on three examples, two a batch.

Started by ``torchrun`` too, where the last batch leaves a process without a share.
"""

from __future__ import annotations

import sys
from pathlib import Path

from pal.dialogue.turns import Exchange
from pal.training.examples import Example
from pal.training.loop import accelerator_for, train
from pal.training.policy import Policy, new_adapter
from pal.training.recipe import Recipe
from pal.training.sft import SftTask
from tests.support.tiny import tiny_model, tiny_renderer

EXAMPLES = [
    Example(
        f"e{cats}", ("I sail.", f"I have {cats} cats."), (Exchange("Pets?", f"{cats} cats.", 1),), ((1,),)
    )
    for cats in range(3)
]
RECIPE = Recipe(task="stage1", batch=2, epochs=1, warmup_steps=1, learning_rate=1e-2, rank=2, alpha=4)


def main(out: Path, recipe: Recipe = RECIPE) -> list[dict]:
    """The loss curve."""
    renderer = tiny_renderer()
    model = new_adapter(tiny_model(), recipe.rank, recipe.alpha, recipe.dropout, recipe.seed)
    policy = Policy(model, renderer.option_ids(9))
    accelerator = accelerator_for(recipe)
    task = SftTask(EXAMPLES, renderer, recipe, accelerator.device)
    return train(task, policy, recipe, out, accelerator, {})


if __name__ == "__main__":
    main(Path(sys.argv[1]))
