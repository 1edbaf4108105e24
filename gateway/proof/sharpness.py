"""Whether one of two pictures that lie over each other is blurred."""

import cv2
import numpy as np
from numpy.typing import NDArray

from gateway.proof import geometry
from gateway.proof.boxes import Box
from gateway.proof.frames import frame
from gateway.proof.geometry import Map

_SIDE = 512
_STRONGEST = 99.5
# How strong the strongest edges of the blurred one are at most, against the other's.
_EDGES = 0.72
_LEAST = 4.0


def is_blurred(
    query: NDArray[np.uint8], image: NDArray[np.uint8], map_: Map, changed: tuple[Box, ...]
) -> bool:
    """Whether one is less sharp than the other, in pixels of the coarser, by its strongest edges.

    Lossy compression takes fine texture away too, but leaves strong edges.

    Args:
        query: (h, w) luma.
        image: (h, w) luma.
        map_: From the query to the image.
        changed: Where they differ, in fractions of the image.
    """
    laid = frame(query, image, map_, _SIDE)
    if laid is None:
        return False
    inside = cv2.erode(laid.shared.astype(np.uint8), np.ones((7, 7), np.uint8))
    height, width = image.shape
    for box in changed:
        edges = np.array([(box.left, box.top), (box.right, box.bottom)]) * (width, height)
        low, high = np.sort(geometry.apply(laid.from_image, edges), axis=0).astype(int)
        inside[max(0, low[1] - 3) : high[1] + 4, max(0, low[0] - 3) : high[0] + 4] = 0
    places = np.flatnonzero(inside)
    if len(places) < 100:
        return False
    places = places[:: max(1, len(places) // 50_000)]
    both = laid.query, laid.image
    slopes = [_slopes(each).reshape(-1)[places] for each in both]
    contrasts = [max(1e-3, float(each.reshape(-1)[places].std())) for each in both]
    steepest = [float(np.percentile(each, _STRONGEST)) for each in slopes]
    if max(steepest) < _LEAST:
        return False
    sharpness = [edge / contrast for edge, contrast in zip(steepest, contrasts, strict=True)]
    return bool(min(sharpness) < _EDGES * max(sharpness))


def _slopes(plane: NDArray[np.float32]) -> NDArray[np.float32]:
    across = cv2.Sobel(plane, cv2.CV_32F, 1, 0)
    down = cv2.Sobel(plane, cv2.CV_32F, 0, 1)
    return np.asarray(cv2.magnitude(across, down), np.float32)
