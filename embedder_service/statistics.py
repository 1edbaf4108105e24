"""What was done with the inputs of one model, counted. All changes happen on the event loop."""

from bisect import bisect_left
from collections import defaultdict
from dataclasses import dataclass, field

BOUNDS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds of the buckets that times are counted in."""


@dataclass
class Timing:
    """How often something was done, and how long it took.

    Attributes:
        count: How often.
        seconds: In all.
        buckets: How often it took at most each of BOUNDS_S and more than the one before; the
            last one counts what took longer.
    """

    count: int = 0
    seconds: float = 0.0
    buckets: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS_S) + 1))

    def add(self, seconds: float) -> None:
        """Counts one more."""
        self.count += 1
        self.seconds += seconds
        self.buckets[bisect_left(BOUNDS_S, seconds)] += 1


@dataclass
class Statistics:
    """Counts of inputs, each in exactly one of the first seven once it is done with.

    Attributes:
        computed: The model gave a vector.
        cached: The vector was remembered.
        refused: It can never have a vector.
        failed: The model failed on it.
        cancelled: The caller left before.
        expired: The deadline passed before.
        rejected: There was no room.
        prepare: Decoding, or splitting into tokens.
        queue: From prepared to computed.
        in_all: From arrival to outcome, of those that were computed.
        batches: What the model took, by the size of the batch.
    """

    computed: int = 0
    cached: int = 0
    refused: int = 0
    failed: int = 0
    cancelled: int = 0
    expired: int = 0
    rejected: int = 0
    prepare: Timing = field(default_factory=Timing)
    queue: Timing = field(default_factory=Timing)
    in_all: Timing = field(default_factory=Timing)
    batches: defaultdict[int, Timing] = field(default_factory=lambda: defaultdict(Timing))


OUTCOMES = ("computed", "cached", "refused", "failed", "cancelled", "expired", "rejected")
"""What can become of an input: the names of Statistics' counts."""
