"""When an image shows none of the labels.

Cosines mean nothing by themselves: between images and texts a CLIP gives 0.2 to 0.3 for what
fits and for what does not. What does mean something is a ratio. A label's text stands apart from
unrelated texts by some distance; an image that shows the label stands out for it, against the
same unrelated texts, by a share of that distance:

    share = (cos(image, label) - mean cos(image, unrelated))
          / (1               - mean cos(label, unrelated))

1 would be the label's text itself, and what is unrelated is at 0. The share does not change
when a modality gap is added to all vectors or when they are scaled. "Unknown" gets the logit that
the likeliest label would have at a share of `least_share`, or that of the best rival: a thing
of everyday life that is none of the labels, if one suits the image better.

After maximum concept matching (Ming et al. 2022), whose score is the contrast among the labels,
and NegLabel (Jiang et al. 2024), which adds unrelated texts.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]

LEAST_SHARE = 0.35
"""See docs/decisions/0009-unknown.md for what it was measured on."""

_NEAR = 0.5
"""A background text that goes more than this part of the way to a label is about the same."""


@dataclass(frozen=True)
class Background:
    """Texts about everyday things.

    Attributes:
        vectors: (M, d), unit length.
        understood: The model knows their words: see `background.py`.
    """

    vectors: Matrix
    understood: bool


@dataclass(frozen=True)
class OpenSet:
    """Labels among what else there is.

    Attributes:
        labels: (K, d), unit length.
        unrelated: (K, d): for each label, the mean of the texts that it is compared with.
        apart: (K,): how far each stands apart from them; more than 0.
        background: (M, d): shared by all labels of a model.
        rivals: (M,): which of the background are none of the labels, and compete with them.
    """

    labels: Matrix
    unrelated: Matrix
    apart: NDArray[np.float64]
    background: Matrix
    rivals: NDArray[np.bool_]


def open_set(labels: Matrix, background: Background) -> OpenSet:
    """Sets labels among what else there is, from texts alone.

    What they are compared with is the background, less what is nearly a label. A model that
    does not know such words was made for something else: then it is the other labels.

    Args:
        labels: (K, d), unit length.
        background: Of the same model.
    """
    count = len(labels)
    kept = _unlike(labels, background.vectors)
    if background.understood or count == 1:
        mean = np.broadcast_to(background.vectors[kept].mean(0), labels.shape)
    else:
        mean = (labels.sum(0) - labels) / (count - 1)
    # Texts that are all but the same leave nothing to tell them by; any image is then unknown.
    apart = np.maximum(1 - (labels * mean).sum(1), 1e-3)
    rivals = kept & background.understood
    return OpenSet(labels, mean, apart, background.vectors, rivals)


def _unlike(labels: Matrix, background: Matrix) -> NDArray[np.bool_]:
    """(M,): the background without what is nearly one of the labels; all of it if that is all."""
    alike = labels @ background.T
    usual = alike.mean(1, keepdims=True)
    near = (alike - usual > _NEAR * (1 - usual)).any(0)
    return np.asarray(near if near.all() else ~near)


def unknown_logits(
    images: Matrix, similarities: Matrix, among: OpenSet, scale: float, least_share: float
) -> NDArray[np.float64]:
    """(N,): the logit of "none of the labels" for each image.

    Args:
        images: (N, d), unit length.
        similarities: (N, K), to the labels.
        among: The labels, and what else there is.
        scale: From cosine to logits.
        least_share: See the module.
    """
    best = similarities.argmax(1)
    usual = (images * among.unrelated[best]).sum(1)
    logits = scale * (usual + least_share * among.apart[best])
    if among.rivals.any():
        theirs = (images @ among.background.T)[:, among.rivals]
        logits = np.maximum(logits, scale * theirs.max(1))
    return np.asarray(logits)
