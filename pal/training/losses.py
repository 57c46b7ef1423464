"""Losses as pure functions."""

from __future__ import annotations

import torch
from torch.nn import functional as F


def reply_loss(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Summed next-token cross-entropy in nats.

    Args:
        logits: [tokens, vocabulary].
        targets: [tokens], token ids.
    """
    return F.cross_entropy(logits.float(), targets, reduction="sum")


def selection_loss(logits: torch.Tensor, allowed: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """Summed negative log of the probability that falls on any right option, in nats.

    Every label counts, not only the first: −log Σ_{o right} p(o), with p the
    softmax over the allowed options alone.

    Args:
        logits: [selections, options], none first.
        allowed: [selections, options], False where an option does not exist.
        right: [selections, options], True on each label.
    """
    scores = logits.float().masked_fill(~allowed, float("-inf"))
    return -(scores.masked_fill(~right, float("-inf")).logsumexp(-1) - scores.logsumexp(-1)).sum()


def dpo_loss(
    policy_chosen: torch.Tensor,
    policy_rejected: torch.Tensor,
    reference_chosen: torch.Tensor,
    reference_rejected: torch.Tensor,
    beta: float,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Direct Preference Optimization (Rafailov et al. 2023, equation 7).

    Args:
        policy_chosen, policy_rejected, reference_chosen, reference_rejected:
            [pairs], summed log-probability of each reply in nats.
        beta: strength of the pull towards the reference.

    Returns:
        losses [pairs], −log σ(margin); and margins [pairs], the implicit reward
        of chosen minus that of rejected,
        β·((policy − reference)_chosen − (policy − reference)_rejected).
    """
    margins = beta * ((policy_chosen - reference_chosen) - (policy_rejected - reference_rejected))
    return -F.logsigmoid(margins), margins


def dpo_positive_loss(
    policy_chosen: torch.Tensor,
    policy_rejected: torch.Tensor,
    reference_chosen: torch.Tensor,
    reference_rejected: torch.Tensor,
    beta: float,
    positive_weight: float,
) -> tuple[torch.Tensor, torch.Tensor]:
    """DPO-Positive (Pal et al. 2024, arXiv 2402.13228): DPO that does not
    let the chosen reply become less likely than under the reference.

    On pairs that differ in few tokens plain DPO lowers both replies' likelihoods.

    Args:
        policy_chosen, policy_rejected, reference_chosen, reference_rejected, beta:
            as in ``dpo_loss``, which this is where ``positive_weight`` is 0.
        positive_weight: λ, weight of the penalty max(0, log π_ref(chosen)/π(chosen)).

    Returns:
        losses [pairs], −log σ(margin − β·λ·penalty); and margins [pairs] without
        the penalty, as in ``dpo_loss``.
    """
    _, margins = dpo_loss(policy_chosen, policy_rejected, reference_chosen, reference_rejected, beta)
    penalties = torch.relu(reference_chosen - policy_chosen)
    return -F.logsigmoid(margins - beta * positive_weight * penalties), margins
