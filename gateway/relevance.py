"""How relevant a result is: its score, measured against the index and against the model. Pure.

Scores of different queries cannot be compared: those of texts lie lower than those of images, and
each query has a level of its own. Two points of a query's scale are known, though: what images
that have nothing to do with it score, the median of a random sample of the index (cf. the
cohorts of score normalisation in speaker recognition, Auckenthaler et al. 2000), and what
fitting images score with this model (`gateway.levels`). Relevance says how far along the way
from the one to the other a score lies.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from gateway.composing import TEXT, Resolved
from gateway.levels import Levels

EVEN = 0.85
"""How far along the way a relevance of one half is."""

# A relevance of 0.9 is where fitting images lie.
_AT_LEVEL = math.log(0.9 / 0.1)

# The median of an index that is mostly about what is asked for is no background: then no more
# than this share of the level counts.
_HIGHEST_MEDIAN = 0.7

# One half is at least so many spreads above the median, where that is not too close to the level.
_SPREADS = 1.5
_LATEST_EVEN = 0.95


@dataclass(frozen=True)
class Scale:
    """A query's scale of scores.

    Attributes:
        sample_size: Images in the sample.
        median: Of their scores.
        spread: Of their scores above the median, as a standard deviation.
        even: Score with a relevance of one half.
        steepness: How fast relevance grows with the score, at `even` times four.
    """

    sample_size: int
    median: float
    spread: float
    even: float
    steepness: float

    def relevance(self, score: float) -> float:
        """Relevance of a score, 0 to 1."""
        return 1 / (1 + math.exp(-max(-60.0, min(60.0, self.steepness * (score - self.even)))))

    def score(self, relevance: float) -> float:
        """The score that has a relevance: the inverse, within -1 to 1."""
        if relevance <= 0:
            return -1.0
        if relevance >= 1:
            return 1.0
        return max(
            -1.0, min(1.0, self.even + math.log(relevance / (1 - relevance)) / self.steepness)
        )


def scale(
    percentiles: Sequence[float],
    medians: Sequence[float],
    sample_size: int,
    terms: Sequence[Resolved],
    levels: Levels,
) -> Scale:
    """Finds a query's scale.

    Args:
        percentiles: The 101 of the sample's scores; empty for an empty index.
        medians: Of the sample's similarities to each term.
        sample_size: Images in the sample.
        terms: What is looked for.
        levels: What fitting images score with the model.
    """
    size = math.fsum(abs(term.weight) for term in terms)
    level = highest = 0.0
    for term, typical in zip(terms, medians or [0.0] * len(terms), strict=True):
        share = term.weight / size
        if share > 0:  # a fitting image is as like a term as one of its kind can be
            own = levels.text if term.kind == TEXT else levels.image
            level += share * own
            highest += share * _HIGHEST_MEDIAN * own
        else:  # and has nothing to do with what it must not be like
            level += share * typical
            highest += share * typical
    median, spread = 0.0, 0.0
    if percentiles:
        median = percentiles[50]
        spread = max((percentiles[75] - median) / 0.6745, 1e-4)
    if all(term.weight < 0 for term in terms):  # nothing is looked for: only the sample tells
        level = median + 4 * max(spread, 1e-3)
        highest = median
    start = min(median, highest)
    way = max(level - start, 1e-3)
    even = start + EVEN * way
    if median <= highest:
        even = max(even, min(median + _SPREADS * spread, start + _LATEST_EVEN * way))
    return Scale(sample_size, median, spread, even, _AT_LEVEL / ((1 - EVEN) * way))
