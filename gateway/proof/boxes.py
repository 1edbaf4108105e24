"""Upright boxes, in fractions of a picture."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Box:
    """A part of a picture.

    Attributes:
        left: Fraction of the width, 0 to 1.
        top: Fraction of the height, 0 to 1.
        right: Fraction of the width, not less than `left`.
        bottom: Fraction of the height, not less than `top`.
    """

    left: float
    top: float
    right: float
    bottom: float

    @property
    def area(self) -> float:
        """Share of the picture's area."""
        return (self.right - self.left) * (self.bottom - self.top)

    def overlap(self, other: "Box") -> float:
        """Intersection over union of two boxes (Jaccard index), 0 to 1."""
        width = min(self.right, other.right) - max(self.left, other.left)
        height = min(self.bottom, other.bottom) - max(self.top, other.top)
        if width <= 0 or height <= 0:
            return 0.0
        shared = width * height
        return shared / (self.area + other.area - shared)


WHOLE = Box(0.0, 0.0, 1.0, 1.0)


def around(points: NDArray[np.float64]) -> Box:
    """The smallest box around points, cut to the picture.

    Args:
        points: (n, 2) in fractions, n at least 1.
    """
    low, high = np.clip(points.min(axis=0), 0, 1), np.clip(points.max(axis=0), 0, 1)
    return Box(float(low[0]), float(low[1]), float(high[0]), float(high[1]))
