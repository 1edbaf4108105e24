"""Whether one of two pictures that lie over each other is blurred."""

import cv2
import numpy as np
from numpy.typing import NDArray

from gateway.proof.agreement import Agreement, luma
from gateway.proof.frames import Frame

_LEAST_SIGMA = 0.65
# How strong the strongest edges of the blurred one are at most, against the other's.
_EDGES = 0.75


def is_blurred(frame: Frame, agreement: Agreement, same: NDArray[np.bool_]) -> bool:
    """Whether one is less sharp than the other, by its strongest edges.

    Lossy compression takes fine texture away too, but leaves strong edges.

    Args:
        frame: The two pictures.
        agreement: Of the two.
        same: (h, w) bool: where both show the same.
    """
    if agreement.blur < _LEAST_SIGMA or not same.any():
        return False
    inside = cv2.erode(same.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    if inside.sum() < 50:
        return False
    query, image = luma(frame.query), luma(frame.image)
    sharp, other = (query, image) if agreement.query_is_sharper else (image, query)
    slopes = _slopes(sharp)[inside]
    strongest = slopes >= np.percentile(slopes, 98)
    contrasts = sharp[inside].std(), other[inside].std()
    if min(contrasts) < 1e-3:
        return False
    ratio = _slopes(other)[inside][strongest].mean() / slopes[strongest].mean()
    return bool(ratio * contrasts[0] / contrasts[1] < _EDGES)


def _slopes(plane: NDArray[np.float32]) -> NDArray[np.float32]:
    across = cv2.Sobel(plane, cv2.CV_32F, 1, 0)
    down = cv2.Sobel(plane, cv2.CV_32F, 0, 1)
    return np.asarray(np.hypot(across, down), np.float32)
