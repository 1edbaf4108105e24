"""What is around a part of a picture: more of the same scene, a plain border, or other pictures."""

from enum import Enum

import cv2
import numpy as np
from numpy.typing import NDArray

from gateway.proof.boxes import Box

# Shares of a side: what is outside by less is the error of alignment.
_MARGIN = 0.012
# How much sharper than inside an edge of the box is where something else begins.
_STEP = 2.5
_LEAST_STEP = 6.0
_FLAT = 3.0
_PLAIN = 0.45


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
    steps = []
    upright, lying = luma[top:bottom].astype(np.float32), luma[:, left:right].T.astype(np.float32)
    for lines, edge, room in (
        (upright, left, box.left),
        (upright, right, 1 - box.right),
        (lying, top, box.top),
        (lying, bottom, 1 - box.bottom),
    ):
        if room > _MARGIN and lines.size:
            steps.append(_is_step(lines, edge))
    if not steps:
        return Surroundings.NOTHING
    if sum(steps) < len(steps) / 2:
        return Surroundings.SCENE
    outside = np.ones(luma.shape, bool)
    outside[max(0, top - 2) : bottom + 2, max(0, left - 2) : right + 2] = False
    return Surroundings.BORDER if _flat_share(luma, outside) > _PLAIN else Surroundings.PICTURES


def _is_step(lines: NDArray[np.float32], edge: int) -> bool:
    """Whether rows change at a column, within two pixels, more than they do elsewhere inside."""
    gap = 3
    changes = np.abs(lines[:, gap:] - lines[:, :-gap]).mean(axis=0)
    low, high = max(0, edge - gap - 2), min(len(changes), edge + 3)
    if low >= high:
        return False
    near = changes[low:high].max()
    usual = float(np.median(changes))
    return bool(near > max(_LEAST_STEP, _STEP * usual))


def _flat_share(luma: NDArray[np.uint8], where: NDArray[np.bool_]) -> float:
    plane = luma.astype(np.float32)
    mean = cv2.boxFilter(plane, cv2.CV_32F, (5, 5))
    square = cv2.boxFilter(plane * plane, cv2.CV_32F, (5, 5))
    deviation = np.sqrt(np.maximum(square - mean * mean, 0))
    return float((deviation[where] < _FLAT).mean()) if where.any() else 1.0
