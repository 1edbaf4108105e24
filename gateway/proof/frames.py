"""Two pictures laid over each other, pixel by pixel."""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from gateway.proof import geometry
from gateway.proof.geometry import Map


@dataclass(frozen=True)
class Frame:
    """Where both pictures show something, in pixels of the coarser of the two.

    Attributes:
        query: (h, w, c) float32.
        image: (h, w, c) float32.
        shared: (h, w) bool: where both are defined.
        from_query: Map from the query's working pixels to the frame.
        from_image: Map from the image's working pixels to the frame.
    """

    query: NDArray[np.float32]
    image: NDArray[np.float32]
    shared: NDArray[np.bool_]
    from_query: Map
    from_image: Map


def frame(query: NDArray[np.uint8], image: NDArray[np.uint8], map_: Map, side: int) -> Frame | None:
    """Lays a query over an image.

    Args:
        query: (h, w) or (h, w, c).
        image: (h, w) or (h, w, c), with as many channels.
        map_: From the query to the image.
        side: Most pixels a side.

    Returns:
        None if they share less than 8 pixels a side.
    """
    if geometry.scale_of(map_) <= 1:
        from_query, from_image = map_, np.eye(3)
    else:
        from_query, from_image = np.eye(3), geometry.inverse(map_)
    shapes = [(each.shape[1], each.shape[0]) for each in (query, image)]
    low: NDArray[Any] = np.full(2, -np.inf)
    high: NDArray[Any] = np.full(2, np.inf)
    for (width, height), to in zip(shapes, (from_query, from_image), strict=True):
        edges = geometry.apply(to, geometry.corners(width, height))
        low, high = np.maximum(low, edges.min(axis=0)), np.minimum(high, edges.max(axis=0))
    low, high = np.floor(low + 1e-3), np.ceil(high - 1e-3)
    if (high - low < 8).any():
        return None
    by = min(1.0, side / float((high - low).max()))
    size = np.maximum(1, np.rint((high - low) * by)).astype(int)
    by_x, by_y = size / (high - low)
    shift = np.array([(by_x, 0, -by_x * low[0]), (0, by_y, -by_y * low[1]), (0, 0, 1)])
    from_query, from_image = shift @ from_query, shift @ from_image
    width, height = int(size[0]), int(size[1])
    if min(width, height) < 8:
        return None
    drawn = [
        _draw(each, to, width, height) for each, to in ((query, from_query), (image, from_image))
    ]
    return Frame(drawn[0][0], drawn[1][0], drawn[0][1] & drawn[1][1], from_query, from_image)


def _draw(
    pixels: NDArray[np.uint8], map_: Map, width: int, height: int
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Draws a picture into a frame, averaging where it gets smaller; and where it is."""
    from_height, from_width = pixels.shape[:2]
    by = np.linalg.norm(map_[:2, :2], axis=0)
    size = [
        max(1, round(length * min(1.0, scale)))
        for length, scale in zip((from_width, from_height), by, strict=True)
    ]
    if size != [from_width, from_height]:
        pixels = np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)
        map_ = map_ @ geometry.scaling(from_width / size[0], from_height / size[1])
    warp = geometry.centred(map_)
    flags = cv2.INTER_LINEAR
    drawn = cv2.warpAffine(
        pixels, warp, (width, height), flags=flags, borderMode=cv2.BORDER_REPLICATE
    )
    ones = np.full(pixels.shape[:2], 255, np.uint8)
    inside = cv2.warpAffine(ones, warp, (width, height), flags=flags) > 250
    return drawn.astype(np.float32), np.asarray(inside, np.bool_)
