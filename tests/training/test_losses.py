"""Losses against values worked out by hand."""

import math

import pytest
import torch

from pal.training.losses import dpo_loss, dpo_positive_loss, reply_loss, selection_loss


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


def test_dpo_positive_penalises_a_chosen_reply_that_has_become_less_likely():
    same = (torch.tensor([-10.0, -14.0]), torch.tensor([-20.0, -20.0]))
    reference = (torch.tensor([-12.0, -12.0]), torch.tensor([-19.0, -19.0]))
    losses, margins = dpo_positive_loss(*same, *reference, beta=0.1, positive_weight=5.0)
    assert margins.tolist() == pytest.approx([0.3, -0.1])
    penalised = -0.1 - 0.1 * 5 * 2  # the second chosen reply fell by two nats
    assert losses.tolist() == pytest.approx(
        [-math.log(1 / (1 + math.exp(-0.3))), -math.log(1 / (1 + math.exp(-penalised)))]
    )


def test_dpo_positive_without_weight_is_dpo():
    values = torch.randn(4, 6, generator=torch.Generator().manual_seed(1)) * 5
    plain, positive = dpo_loss(*values, beta=0.3), dpo_positive_loss(*values, beta=0.3, positive_weight=0.0)
    for mine, other in zip(plain, positive, strict=True):
        torch.testing.assert_close(mine, other)


def test_dpo_positive_pulls_a_fallen_chosen_reply_up_where_dpo_lets_both_fall():
    chosen = torch.tensor([-14.0], requires_grad=True)
    fixed = (torch.tensor([-30.0]), torch.tensor([-12.0]), torch.tensor([-19.0]))
    gradients = []
    for weight in (0.0, 5.0):
        losses, _ = dpo_positive_loss(chosen, *fixed, beta=0.1, positive_weight=weight)
        gradients.append(torch.autograd.grad(losses.sum(), chosen)[0].item())
    assert gradients[1] < 3 * gradients[0] < 0
