"""Makes a map exact by the pixels themselves."""

import cv2
import numpy as np

from gateway.proof import geometry
from gateway.proof.agreement import correlation
from gateway.proof.features import Features
from gateway.proof.frames import Frame, frame
from gateway.proof.geometry import Map

_SIDE = 128
_STEPS = 30
# Of the side: what a map that is meant to take all to all may be off by.
_ASIDE = 0.05
_AS_GOOD = 0.004


def aligned(query: Features, image: Features, map_: Map) -> Map | None:
    """Moves a map until the two pictures correlate best.

    Enhanced correlation coefficient (Evangelidis and Psarakis 2008, "Parametric Image
    Alignment Using Enhanced Correlation Coefficient Maximization"), which does not mind other
    brightness or contrast.

    Args:
        query: Its picture of few pixels is used,
        image: and of this one.
        map_: From the query to the image, right within some pixels.

    Returns:
        The better map; None if there is none.
    """
    laid = _laid(query, image, map_)
    if laid is None:
        return None
    start = np.eye(2, 3, dtype=np.float32)
    criteria = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, _STEPS, 1e-4)
    try:
        reached, warp = cv2.findTransformECC(
            laid.image,
            laid.query,
            start,
            cv2.MOTION_AFFINE,
            criteria,
            laid.shared.astype(np.uint8) * 255,
            5,
        )
    except cv2.error:  # flat, or it ran away
        return None
    # The warp takes the image's frame to the query's.
    moved = geometry.inverse(laid.from_image) @ geometry.inverse(
        geometry.uncentred(np.asarray(warp, np.float64))
    )
    better = _to_working(image) @ moved @ laid.from_query @ _from_working(query)
    # It may have run away, or turned the picture inside out.
    if not np.isfinite(reached) or not geometry.is_plausible(better @ geometry.inverse(map_)):
        return None
    return np.asarray(better, np.float64)


def simplest(query: Features, image: Features, map_: Map) -> Map:
    """The map of all of the query to all of the image instead of one near it, if it is as good.

    That is the likelier one: a resized picture, not one that was also turned by half a degree
    and cut by some pixels.
    """
    (height, width), (to_height, to_width) = query.luma.shape, image.luma.shape
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


def _likeness(query: Features, image: Features, map_: Map) -> float:
    laid = _laid(query, image, map_)
    return correlation(laid.query, laid.image, laid.shared) if laid else -1.0


def _laid(query: Features, image: Features, map_: Map) -> Frame | None:
    small = geometry.inverse(_to_working(image)) @ map_ @ geometry.inverse(_from_working(query))
    return frame(query.small, image.small, small, _SIDE)


def _from_working(of: Features) -> Map:
    """From its working pixels to those of its small picture."""
    (height, width), (to_height, to_width) = of.luma.shape, of.small.shape
    return geometry.scaling(to_width / width, to_height / height)


def _to_working(of: Features) -> Map:
    return geometry.inverse(_from_working(of))
