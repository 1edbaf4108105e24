"""How much of each of two pictures the other shows, and where."""

from dataclasses import dataclass

import cv2
import numpy as np

from gateway.proof import geometry
from gateway.proof.boxes import Box, around
from gateway.proof.geometry import Map


@dataclass(frozen=True)
class Overlap:
    """What two pictures share, by the map between them.

    Attributes:
        of_query: Share of the query's area that the image shows, 0 to 1.
        of_image: Share of the image's area that the query shows, 0 to 1.
        query_box: Around what the image shows of the query.
        image_box: Around what the query shows of the image.
    """

    of_query: float
    of_image: float
    query_box: Box
    image_box: Box


def overlap(map_: Map) -> Overlap | None:
    """Finds what is shared.

    Args:
        map_: From the query to the image, both in fractions.

    Returns:
        None if they share nothing.
    """
    square = geometry.corners(1, 1).astype(np.float32)
    moved = geometry.apply(map_, square).astype(np.float32)
    area, shared = cv2.intersectConvexConvex(moved, square)
    if shared is None or len(shared) < 3 or area <= 1e-6:
        return None
    polygon = shared.reshape(-1, 2).astype(np.float64)
    back = geometry.apply(np.linalg.inv(map_), polygon)
    whole = abs(float(np.linalg.det(map_[:2, :2])))
    return Overlap(
        of_query=min(1.0, float(area) / whole),
        of_image=min(1.0, float(area)),
        query_box=around(back),
        image_box=around(polygon),
    )
