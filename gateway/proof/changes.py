"""Where two pictures that lie over each other differ."""

import cv2
import numpy as np
from numpy.typing import NDArray

from gateway.proof import geometry
from gateway.proof.agreement import Agreement
from gateway.proof.boxes import Box, around
from gateway.proof.frames import Frame

# Grey levels, and multiples of the noise, that a change is at least.
_LEAST = 12.0
_NOISES = 6.0
# Changes nearer to each other than this share of the frame are one, e.g. the letters of a line.
_GAP = 0.05
# Shares of the frame that a change is at least.
_LEAST_AREA = 0.0012
_MOST_BOXES = 16


def changed(frame: Frame, agreement: Agreement) -> NDArray[np.bool_]:
    """(h, w): which pixels of a frame differ by more than noise."""
    query, image, shared = agreement.query, agreement.image, agreement.shared
    away = np.abs(query - image)
    noise = 1.4826 * float(np.median(away[shared]))
    calm = np.minimum(_deviation(query), _deviation(image))
    differs = shared & (away > max(_LEAST, _NOISES * noise) + 0.5 * calm)
    # Single pixels along edges are the rests of compression and of interpolation.
    crowd = cv2.boxFilter(differs.astype(np.float32), cv2.CV_32F, (3, 3), normalize=False)
    return np.asarray(differs & (crowd >= 4), np.bool_)


def _deviation(plane: NDArray[np.float32]) -> NDArray[np.float32]:
    mean = cv2.boxFilter(plane, cv2.CV_32F, (5, 5))
    square = cv2.boxFilter(plane * plane, cv2.CV_32F, (5, 5))
    return np.asarray(np.sqrt(np.maximum(square - mean * mean, 0)), np.float32)


def boxes(differs: NDArray[np.bool_], frame: Frame, width: int, height: int) -> tuple[Box, ...]:
    """Boxes around what differs, in fractions of the image, largest first.

    Args:
        differs: As of `changed`.
        frame: Where it was found.
        width: Of the image, in working pixels.
        height: Of the image, in working pixels.
    """
    side = max(differs.shape)
    gap = max(3, round(_GAP * side))
    joined = cv2.morphologyEx(
        np.pad(differs.astype(np.uint8), gap),
        cv2.MORPH_CLOSE,
        np.ones((gap, gap), np.uint8),
    )[gap:-gap, gap:-gap]
    count, labels = cv2.connectedComponents(np.ascontiguousarray(joined), connectivity=8)
    back = geometry.scaling(1 / width, 1 / height) @ np.linalg.inv(frame.from_image)
    least = max(6.0, _LEAST_AREA * differs.size)
    found = []
    sizes = np.bincount(labels[differs], minlength=count)
    for label in np.flatnonzero(sizes >= least):
        if label == 0:
            continue
        rows, columns = np.nonzero(differs & (labels == label))
        low = columns.min(), rows.min()
        high = columns.max() + 1, rows.max() + 1
        edges = np.array([low, (high[0], low[1]), high, (low[0], high[1])], np.float64)
        found.append(around(geometry.apply(back, edges)))
    return tuple(sorted(found, key=lambda box: -box.area)[:_MOST_BOXES])
