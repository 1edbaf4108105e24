"""What is around a part of a picture: more of the same scene, a plain border, or other pictures."""

from enum import Enum

import cv2
import numpy as np
from numpy.typing import NDArray

from gateway.proof.boxes import Box

# Shares of a side: what is outside by less is the error of alignment.
_MARGIN = 0.012
# How much larger the change across the edges is than elsewhere, on average of the sides, where
# something else begins: a border, or another picture.
_TO_BORDER = 2.0
_TO_PICTURE = 3.0
# The same where no place changes as much as the edges do, all of them.
_TO_STRONGEST = 2.2
# The same of one edge alone, if no other place along it changes as much.
_SEAM = 5.0
_STRIP = 2
# Grey levels that count as no change, and the most that one side says.
_NO_CHANGE = 0.5
_MOST = 20.0
# Standard deviation in grey levels of what was drawn flat, once it was compressed.
_FLAT = 0.8
_PLAIN = 0.4


class Surroundings(Enum):
    """What is around a part of a picture."""

    NOTHING = "nothing"
    SCENE = "scene"
    BORDER = "border"
    PICTURES = "pictures"


def surroundings(luma: NDArray[np.uint8], box: Box) -> Surroundings:
    """Tells what is around a part of a picture.

    The scene goes on where the brightness across the edges of the part changes no more than
    within it. Otherwise a border, a frame or a window is mostly flat, and pictures are not.

    Args:
        luma: (h, w) of the whole picture.
        box: The part.
    """
    height, width = luma.shape
    left, right = round(box.left * width), round(box.right * width)
    top, bottom = round(box.top * height), round(box.bottom * height)
    steps: list[tuple[float, bool]] = []
    upright, lying = luma[top:bottom].astype(np.float32), luma[:, left:right].T.astype(np.float32)
    for lines, edge, room in (
        (upright, left, box.left),
        (upright, right, 1 - box.right),
        (lying, top, box.top),
        (lying, bottom, 1 - box.bottom),
    ):
        if room > _MARGIN and lines.size:
            steps += _steps(lines, edge)
    if not steps:
        return Surroundings.NOTHING
    step = float(np.exp(np.mean([np.log(times) for times, _ in steps])))
    outside = np.ones(luma.shape, bool)
    outside[max(0, top - 2) : bottom + 2, max(0, left - 2) : right + 2] = False
    if step > _TO_BORDER and _flat_share(luma, outside) > _PLAIN:
        return Surroundings.BORDER
    strongest = len(steps) > 1 and all(most for _, most in steps)
    seam = any(most and times > _SEAM for times, most in steps)
    if seam or step > (_TO_STRONGEST if strongest else _TO_PICTURE):
        return Surroundings.PICTURES
    return Surroundings.SCENE


def _steps(lines: NDArray[np.float32], edge: int) -> list[tuple[float, bool]]:
    """How many times larger rows change at a column than at others, and whether they do most there.

    Nothing where there are no others.
    """
    rows = cv2.resize(
        lines, (lines.shape[1], max(1, len(lines) // 4)), interpolation=cv2.INTER_AREA
    )
    sums = np.cumsum(np.pad(rows, ((0, 0), (1, 0))), axis=1)
    means = (sums[:, _STRIP:] - sums[:, :-_STRIP]) / _STRIP
    # changes[i] is that between the strips before and after column i + _STRIP.
    changes = np.abs(means[:, _STRIP:] - means[:, :-_STRIP]).mean(axis=0)
    low, high = max(0, edge - _STRIP - 1), min(len(changes), edge - _STRIP + 2)
    others = np.delete(changes, slice(max(0, low - _STRIP), high + _STRIP))
    if low >= high or not len(others):
        return []
    change, usual = float(changes[low:high].max()), float(np.median(others))
    return [(min(_MOST, max(1.0, change / max(usual, _NO_CHANGE))), change > others.max())]


def _flat_share(luma: NDArray[np.uint8], where: NDArray[np.bool_]) -> float:
    plane = luma.astype(np.float32)
    mean = cv2.boxFilter(plane, cv2.CV_32F, (5, 5))
    square = cv2.boxFilter(plane * plane, cv2.CV_32F, (5, 5))
    deviation = np.sqrt(np.maximum(square - mean * mean, 0))
    return float((deviation[where] < _FLAT).mean()) if where.any() else 1.0
