"""Losses against values worked out by hand."""

import math

import pytest
import torch

from pal.training.losses import dpo_loss, reply_loss, selection_loss


def test_reply_loss_is_summed_cross_entropy():
    logits = torch.log(torch.tensor([[0.7, 0.2, 0.1], [0.25, 0.25, 0.5]]))
    assert reply_loss(logits, torch.tensor([0, 2])).item() == pytest.approx(-math.log(0.7) - math.log(0.5))


def test_selection_loss_counts_every_label_and_only_allowed_options():
    logits = torch.log(torch.tensor([[0.1, 0.2, 0.3, 0.4], [0.1, 0.2, 0.3, 0.4]]))
    allowed = torch.tensor([[True, True, True, False], [False, True, True, True]])
    right = torch.tensor([[False, True, True, False], [False, False, False, True]])
    expected = -math.log(0.5 / 0.6) - math.log(0.4 / 0.9)
    assert selection_loss(logits, allowed, right).item() == pytest.approx(expected)


def test_dpo_loss_is_equation_7():
    losses, margins = dpo_loss(
        torch.tensor([-10.0]), torch.tensor([-20.0]), torch.tensor([-12.0]), torch.tensor([-19.0]), beta=0.1
    )
    assert margins.item() == pytest.approx(0.1 * (2 - -1))
    assert losses.item() == pytest.approx(-math.log(1 / (1 + math.exp(-0.3))))


def test_dpo_loss_at_the_reference_is_log_two():
    same = torch.tensor([-5.0, -7.0])
    losses, margins = dpo_loss(same, same - 1, same, same - 1, beta=0.5)
    assert losses.tolist() == pytest.approx([math.log(2)] * 2) and margins.tolist() == [0, 0]
