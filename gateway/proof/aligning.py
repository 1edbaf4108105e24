"""Makes a map exact by the pixels themselves."""

import cv2
import numpy as np
from numpy.typing import NDArray

from gateway.proof import geometry
from gateway.proof.agreement import correlation
from gateway.proof.frames import frame
from gateway.proof.geometry import Map

_SIDE = 128
_STEPS = 30
# Of the side: what a map that is meant to take all to all may be off by.
_ASIDE = 0.05
_AS_GOOD = 0.004


def aligned(
    query: NDArray[np.uint8], image: NDArray[np.uint8], map_: Map
) -> tuple[Map, float] | None:
    """Moves a map until the two pictures correlate best.

    Enhanced correlation coefficient (Evangelidis and Psarakis 2008, "Parametric Image
    Alignment Using Enhanced Correlation Coefficient Maximization"), which does not mind other
    brightness or contrast.

    Args:
        query: (h, w) luma.
        image: (h, w) luma.
        map_: From the query to the image, right within some pixels.

    Returns:
        The better map and the correlation reached, -1 to 1; None if there is none.
    """
    laid = frame(query, image, map_, _SIDE)
    if laid is None:
        return None
    warp = np.eye(2, 3, dtype=np.float32)
    criteria = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, _STEPS, 1e-4)
    try:
        reached, warp = cv2.findTransformECC(
            laid.image,
            laid.query,
            warp,
            cv2.MOTION_AFFINE,
            criteria,
            laid.shared.astype(np.uint8) * 255,
            5,
        )
    except cv2.error:  # flat, or it ran away
        return None
    # The warp takes the image's frame to the query's.
    moved = np.linalg.inv(laid.from_image) @ np.linalg.inv(geometry.uncentred(warp))
    better = moved @ laid.from_query
    if not np.isfinite(better).all() or not np.isfinite(reached):
        return None
    return better, float(reached)


def simplest(query: NDArray[np.uint8], image: NDArray[np.uint8], map_: Map) -> Map:
    """The map of all of the query to all of the image instead of one near it, if it is as good.

    That is the likelier one: a resized picture, not one that was also turned by half a degree
    and cut by some pixels.
    """
    (height, width), (to_height, to_width) = query.shape, image.shape
    goals = geometry.corners(to_width, to_height)
    moved = geometry.apply(map_, geometry.corners(width, height))
    away = np.abs(moved[:, None] - goals[None]) / (to_width, to_height)
    nearest = away.max(axis=2).argmin(axis=1)
    if len(set(nearest)) < 4 or away.max(axis=2).min(axis=1).max() > _ASIDE:
        return map_
    whole = np.eye(3)
    whole[:2, :2] = np.column_stack(
        [
            (goals[nearest[1]] - goals[nearest[0]]) / width,
            (goals[nearest[3]] - goals[nearest[0]]) / height,
        ]
    )
    whole[:2, 2] = goals[nearest[0]]
    free, snapped = (_likeness(query, image, each) for each in (map_, whole))
    return whole if snapped >= free - _AS_GOOD else map_


def _likeness(query: NDArray[np.uint8], image: NDArray[np.uint8], map_: Map) -> float:
    laid = frame(query, image, map_, _SIDE)
    if laid is None:
        return -1.0
    return correlation(laid.query, laid.image, laid.shared)
