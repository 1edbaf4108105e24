"""What labelled neighbours say an image is, and how that is joined with another opinion.

Neighbours vote with softmax weights over their similarity (Wu et al. 2018, "Unsupervised Feature
Learning via Non-Parametric Instance Discrimination", weighted kNN), and each only as far as it
is alike: a neighbour no more alike than any image of the index says nothing.

Two opinions are joined by Dempster's rule (Shafer 1976, "A Mathematical Theory of Evidence"),
"unknown" being what each leaves open: where both agree they grow surer, and who leaves all open
changes nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

TEMPERATURE = 0.07
"""Of the neighbours' weights, as in Wu et al. 2018."""

FEW = 20
"""Of fewer images the middle one may be alike by more than chance."""

_MOST_BELIEF = 0.99
"""Neither of two opinions is taken as beyond doubt: they may contradict each other."""


@dataclass(frozen=True)
class Neighbor:
    """An image that votes.

    Attributes:
        image_id: Its id.
        similarity: Its cosine to the image in question.
        labels: What it is, each name once; its vote is split evenly.
    """

    image_id: str
    similarity: float
    labels: Sequence[str]


@dataclass(frozen=True)
class Votes:
    """What the neighbours say.

    Attributes:
        shares: By label; they sum up to at most 1, and what is missing is open.
        voters: By label, the ids of those who voted for it, nearest first.
    """

    shares: Mapping[str, float]
    voters: Mapping[str, list[str]]


@dataclass(frozen=True)
class Opinion:
    """How likely what is; all of it sums up to 1.

    Attributes:
        probabilities: By label.
        unknown: That it is none of them.
    """

    probabilities: Mapping[str, float]
    unknown: float


def chance_level(similarities: NDArray[np.float64]) -> float:
    """The similarity that an image has to any image of an index.

    Args:
        similarities: (N,): of the image to a random sample. Of many the median; of few the least,
            as most of them may be alike. None: 0.
    """
    if not len(similarities):
        return 0.0
    return float(np.median(similarities) if len(similarities) >= FEW else similarities.min())


def vote(neighbors: Sequence[Neighbor], chance: float) -> Votes:
    """Counts the votes.

    Args:
        neighbors: Nearest first.
        chance: From `chance_level`: who is no more alike than this has no vote.
    """
    shares: dict[str, float] = {}
    voters: dict[str, list[str]] = {}
    if not neighbors:
        return Votes(shares, voters)
    similarities = np.array([neighbor.similarity for neighbor in neighbors])
    weights = np.exp((similarities - similarities.max()) / TEMPERATURE)
    weights /= weights.sum()
    likeness = np.clip((similarities - chance) / max(1 - chance, 1e-6), 0, 1)
    for neighbor, evidence in zip(neighbors, (weights * likeness).tolist(), strict=True):
        for label in neighbor.labels:
            shares[label] = shares.get(label, 0.0) + evidence / len(neighbor.labels)
            voters.setdefault(label, []).append(neighbor.image_id)
    return Votes(shares, voters)


def joined(one: Opinion, votes: Votes) -> Opinion:
    """Joins an opinion with the neighbours' votes."""
    other = Opinion(votes.shares, max(0.0, 1 - sum(votes.shares.values())))
    if not one.probabilities:
        return other
    if not other.probabilities:
        return one
    one, other = _doubted(one), _doubted(other)
    names = dict.fromkeys([*one.probabilities, *other.probabilities])
    beliefs = {}
    for name in names:
        mine, theirs = one.probabilities.get(name, 0.0), other.probabilities.get(name, 0.0)
        beliefs[name] = mine * theirs + mine * other.unknown + one.unknown * theirs
    unknown = one.unknown * other.unknown
    whole = sum(beliefs.values()) + unknown
    return Opinion({name: belief / whole for name, belief in beliefs.items()}, unknown / whole)


def _doubted(opinion: Opinion) -> Opinion:
    return Opinion(
        {name: _MOST_BELIEF * value for name, value in opinion.probabilities.items()},
        1 - _MOST_BELIEF * (1 - opinion.unknown),
    )
