"""Zero-shot classification (Radford et al. 2021), with "unknown" as one more class."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gateway.classification.unknown import Background, Matrix, open_set, unknown_logits

CLIP_LOGIT_SCALE = 100.0
"""What CLIP's training ended at; for models that do not say theirs."""


@dataclass(frozen=True)
class Scores:
    """How likely what is.

    Attributes:
        similarities: (N, K), cosines of images to labels.
        probabilities: (N, K).
        unknown: (N,); with the row of `probabilities` it sums up to 1.
    """

    similarities: Matrix
    probabilities: Matrix
    unknown: NDArray[np.float64]

    def ranked(self, image: int, most: int) -> list[int]:
        """Numbers of the likeliest labels of an image, best first."""
        order = np.argsort(-self.probabilities[image], kind="stable")
        return [int(number) for number in order[:most]]

    def is_unknown(self, image: int) -> bool:
        """Whether "unknown" is likelier than every label."""
        return bool(self.unknown[image] > self.probabilities[image].max())


class Classifier:
    """Tells how likely each of some labels is.

    Args:
        labels: (K, d), unit length.
        background: Of the same model.
        logit_scale: The model's own; 0: it does not say.
        least_share: Of what sets a label apart in words, how much an image must show.
    """

    def __init__(
        self, labels: Matrix, background: Background, logit_scale: float, least_share: float
    ) -> None:
        self._among = open_set(labels, background)
        self._scale = logit_scale or CLIP_LOGIT_SCALE
        self._least_share = least_share

    @property
    def nbytes(self) -> int:
        """Memory that it holds."""
        return self._among.labels.nbytes * 2 + self._among.rivals.nbytes

    def scores(self, images: NDArray[np.float32]) -> Scores:
        """Classifies images.

        Args:
            images: (N, d), unit length.
        """
        vectors = images.astype(np.float64)
        similarities = vectors @ self._among.labels.T
        none = unknown_logits(vectors, similarities, self._among, self._scale, self._least_share)
        logits = np.column_stack([self._scale * similarities, none])
        weights = np.exp(logits - logits.max(1, keepdims=True))
        weights /= weights.sum(1, keepdims=True)
        return Scores(similarities, weights[:, :-1], weights[:, -1])


def ensemble(vectors: NDArray[np.floating[Any]], groups: list[int]) -> Matrix:
    """Averages the vectors of each label's sentences.

    Args:
        vectors: (P, d), unit length: the sentences of the first label, then of the second, …
        groups: How many each label has; at least one.

    Returns:
        (len(groups), d), unit length.
    """
    starts = np.cumsum([0, *groups[:-1]])
    sums = np.add.reduceat(vectors, starts, axis=0, dtype=np.float64)
    lengths = np.linalg.norm(sums, axis=1, keepdims=True)
    return np.asarray(sums / np.maximum(lengths, 1e-9))
