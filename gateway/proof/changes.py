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
# Windows that correlate by more show the same, with rests of another sharpness.
_ALIKE = 0.85
_ALIKE_BLURRED = 0.6
_CLIPPED = 4.0
_NEAR = 30.0
# Changes nearer to each other than this share of the frame are one, e.g. the letters of a line.
_GAP = 0.05
# Shares of the frame that a change is at least.
_LEAST_AREA = 0.0012
_MOST_BOXES = 16


def changed(agreement: Agreement, is_blurred: bool) -> NDArray[np.bool_]:
    """(h, w): which pixels of a frame differ by more than noise.

    Args:
        agreement: Of the two pictures in the frame.
        is_blurred: One of them is: then windows correlate less even where nothing else differs.
    """
    query, image, shared = agreement.query, agreement.image, agreement.shared
    away = np.abs(query - image)
    known = away[shared]
    noise = 1.4826 * float(np.median(known[:: max(1, len(known) // 4000)]))
    calm = np.minimum(_deviation(query), _deviation(image))
    differs = shared & (away > max(_LEAST, _NOISES * noise) + 0.5 * calm)
    differs &= agreement.alike < (_ALIKE_BLURRED if is_blurred else _ALIKE)
    # What became all white or all black is no change: contrast was raised.
    for bound in (0.0, 255.0):
        differs &= (np.abs(image - bound) > _CLIPPED) | (np.abs(query - bound) > _NEAR)
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
    back = geometry.scaling(1 / width, 1 / height) @ geometry.inverse(frame.from_image)
    least = max(6.0, _LEAST_AREA * differs.size)
    found = []
    sizes = np.bincount(labels[differs], minlength=count)
    for label in np.flatnonzero(sizes >= least):
        if label == 0:
            continue
        rows, columns = np.nonzero(differs & (labels == label))
        low, high = (columns.min(), rows.min()), (columns.max() + 1, rows.max() + 1)
        found.append(np.array([low, high], np.float64))
    merged = [
        around(geometry.apply(back, np.array([low, (high[0], low[1]), high, (low[0], high[1])])))
        for low, high in _joined(found, gap)
    ]
    return tuple(sorted(merged, key=lambda box: -box.area)[:_MOST_BOXES])


def _joined(boxes: list[NDArray[np.float64]], gap: float) -> list[NDArray[np.float64]]:
    """Puts boxes that overlap, or nearly do, into one."""
    result: list[NDArray[np.float64]] = []
    for box in boxes:
        joined = box
        while True:
            near = [
                other
                for other in result
                if (other[0] <= joined[1] + gap).all() and (joined[0] <= other[1] + gap).all()
            ]
            if not near:
                break
            result = [other for other in result if not any(other is each for each in near)]
            lows, highs = zip(joined, *near, strict=True)
            joined = np.array([np.min(lows, axis=0), np.max(highs, axis=0)])
        result.append(joined)
    return result
