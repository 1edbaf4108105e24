"""How much of each of two pictures the other shows, and where."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

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
    square = geometry.corners(1, 1)
    polygon = _cut(geometry.apply(map_, square))
    area = abs(_area(polygon))
    if area <= 1e-6:
        return None
    back = geometry.apply(geometry.inverse(map_), polygon)
    whole = abs(float(np.linalg.det(map_[:2, :2])))
    return Overlap(
        of_query=min(1.0, area / whole),
        of_image=min(1.0, area),
        query_box=around(back),
        image_box=around(polygon),
    )


def _cut(polygon: NDArray[np.float64]) -> NDArray[np.float64]:
    """The part of a convex polygon, (n, 2), in the unit square.

    Sutherland and Hodgman 1974, "Reentrant Polygon Clipping". OpenCV's intersection fails now
    and then where edges nearly coincide, as they do here.
    """
    for axis in (0, 1):
        for is_upper in (False, True):
            room = 1 - polygon[:, axis] if is_upper else polygon[:, axis]
            kept = []
            for here in range(len(polygon)):
                before = here - 1
                if (room[here] >= 0) != (room[before] >= 0):
                    part = room[before] / (room[before] - room[here])
                    kept.append(polygon[before] + part * (polygon[here] - polygon[before]))
                if room[here] >= 0:
                    kept.append(polygon[here])
            polygon = np.array(kept, np.float64).reshape(-1, 2)
            if not len(polygon):
                return polygon
    return polygon


def _area(polygon: NDArray[np.float64]) -> float:
    """Signed, by the shoelace formula; 0 for none."""
    following = np.roll(polygon, -1, axis=0)
    cross = polygon[:, 0] * following[:, 1] - polygon[:, 1] * following[:, 0]
    return float(cross.sum()) / 2
