"""Does a reply answer what the user said? The cosine of their MiniLM embeddings.

Only the last user turn counts, no persona and no history, so a reply gains
nothing by reciting a persona sentence that is beside the point. The judge is
none of the tuned models. It is topical: it cannot see a wrong answer on the right
topic, and repeating the user's words pleases it. ``python -m pal check-relevance``
measures how well it tells a gold reply from a random one, beside the
likelihood ratio of the base model, which was tried first and is worse.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pal.encoder import MiniLMEncoder

# Replies closer than this tie in win rates. The least multiple of 0.05 at which the measure was right on nine
# in ten of the pairs that differ by more (300 gold replies of the tune part, each against a random one).
MARGIN = 0.1


class EmbeddingRelevance:
    """Scores replies with a sentence encoder."""

    def __init__(self, encoder: MiniLMEncoder):
        self._encoder = encoder

    def scores(self, pairs: Sequence[tuple[str, str]]) -> list[float]:
        """Cosine of each (user's message, reply), in [-1, 1]; 0 for an empty reply."""
        vectors = self._encoder.embed([text for pair in pairs for text in pair])
        cosines = np.einsum("pd,pd->p", vectors[0::2], vectors[1::2])
        return [
            float(value) if reply.strip() else 0.0 for value, (_, reply) in zip(cosines, pairs, strict=True)
        ]
