"""Which arithmetic is fast here: bf16 needs instructions that older CPUs lack."""

from __future__ import annotations

import dataclasses

import torch

from pal.training.recipe import Recipe


def fast_bf16(device: torch.device) -> bool:
    """GPUs, and CPUs with bf16 instructions (Intel since 2023, AMD since 2022).

    On others bf16 was measured at a tenth of fp32's speed.
    """
    return device.type != "cpu" or bool(torch.cpu.get_capabilities().get("avx512_bf16"))


def settled(recipe: Recipe) -> Recipe:
    """The recipe with ``precision: auto`` replaced by what is fast on this machine.

    The record then names the arithmetic that was used.
    """
    if recipe.precision != "auto":
        return recipe
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return dataclasses.replace(recipe, precision="bf16" if fast_bf16(device) else "fp32")
