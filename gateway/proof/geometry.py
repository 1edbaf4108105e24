"""Maps from one picture to another, from pairs of keypoints.

A map is a (3, 3) float64 matrix for homogeneous coordinates in working pixels, as those of
Features.points. Maps are affine: versions are scaled, turned, moved and squeezed, but not
photographed from elsewhere, and fewer degrees of freedom let less chance in.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gateway.proof.matching import Keypoints

Map = NDArray[np.float64]

_MAX_SCALE = 14.0
_MAX_STRETCH = 1.6
# How far the sizes and angles of a pair may be from what the map says: SIFT's own spread.
_SIZE_TOLERANCE = np.log(1.6)
_ANGLE_TOLERANCE = np.radians(25)
# Of the coarser picture's pixels: wide for a map of one pair, then narrower with each fit.
_FIRST_TOLERANCE = 20.0
_TOLERANCES = (10.0, 5.0, 3.5, 3.0)
_HYPOTHESES = 4


def scale_of(map_: Map) -> float:
    """How much longer lengths become, on average."""
    return float(np.sqrt(abs(np.linalg.det(map_[:2, :2]))))


def is_plausible(map_: Map) -> bool:
    """Whether a map keeps the shape of things, give or take a squeeze, and does not mirror."""
    if not np.isfinite(map_).all() or np.linalg.det(map_[:2, :2]) <= 0:
        return False
    larger, smaller = np.linalg.svd(map_[:2, :2], compute_uv=False)
    return bool(
        larger < _MAX_SCALE and smaller > 1 / _MAX_SCALE and larger / smaller < _MAX_STRETCH
    )


def apply(map_: Map, points: NDArray[Any]) -> NDArray[np.float64]:
    """Where a map takes points, (n, 2)."""
    return np.asarray(points @ map_[:2, :2].T + map_[:2, 2], np.float64)


def inverse(map_: Map) -> Map:
    """The map back."""
    return np.asarray(np.linalg.inv(map_), np.float64)


def corners(width: float, height: float) -> NDArray[np.float64]:
    """The corners of a picture, clockwise from the upper left."""
    return np.array([(0, 0), (width, 0), (width, height), (0, height)], np.float64)


def candidates(query: Keypoints, image: Keypoints) -> list[tuple[Map, int]]:
    """Maps that many pairs agree with, best first, each with their number.

    Each pair of keypoints alone gives a similarity, by its positions, sizes and angles; the
    few that most pairs agree with are fitted to those (Philbin et al. 2007, "Object retrieval
    with large vocabularies and fast spatial matching"). No random samples are drawn, so the
    same pictures always give the same maps.
    """
    if len(query.points) < 3:
        return []
    scales = image.sizes / np.maximum(query.sizes, 1e-3)
    turns = image.angles - query.angles
    linear = _similarities(scales, turns)
    moved = np.einsum("hij,nj->hni", linear, query.points)
    offsets = image.points - moved[np.arange(len(scales)), np.arange(len(scales))]
    away = np.linalg.norm(moved + offsets[:, None] - image.points[None], axis=2)
    alike = _same_similarity(scales, turns)
    agreeing = alike & (away < _FIRST_TOLERANCE * np.maximum(scales, 1.0)[:, None])
    support = agreeing.sum(axis=1)
    found: list[tuple[Map, int]] = []
    free = np.ones(len(support), bool)
    for _ in range(_HYPOTHESES):
        best = int(np.argmax(np.where(free, support, -1)))
        if not free[best] or support[best] < 3:
            break
        free &= ~agreeing[best]
        fitted = _refined(agreeing[best], query, image, scales, turns)
        if fitted is not None:
            found.append(fitted)
    return sorted(found, key=lambda each: -each[1])


def _similarities(scales: NDArray[np.floating], turns: NDArray[np.floating]) -> NDArray[np.float64]:
    """(n, 2, 2) matrices."""
    cos, sin = scales * np.cos(turns), scales * np.sin(turns)
    return np.stack([np.stack([cos, -sin], -1), np.stack([sin, cos], -1)], -2).astype(np.float64)


def _same_similarity(
    scales: NDArray[np.floating], turns: NDArray[np.floating]
) -> NDArray[np.bool_]:
    """(n, n): which pairs are scaled and turned alike."""
    logs = np.log(np.maximum(scales, 1e-6))
    by_size = np.abs(logs[:, None] - logs[None]) < _SIZE_TOLERANCE
    apart = np.abs((turns[:, None] - turns[None] + np.pi) % (2 * np.pi) - np.pi)
    return np.asarray(by_size & (apart < _ANGLE_TOLERANCE), np.bool_)


def _refined(
    inliers: NDArray[np.bool_],
    query: Keypoints,
    image: Keypoints,
    scales: NDArray[np.floating],
    turns: NDArray[np.floating],
) -> tuple[Map, int] | None:
    map_: Map | None = None
    for tolerance in _TOLERANCES:
        map_ = fit(query.points[inliers], image.points[inliers])
        if map_ is None or not is_plausible(map_):
            return None
        scale = scale_of(map_)
        away = np.linalg.norm(apply(map_, query.points) - image.points, axis=1)
        turn = np.arctan2(map_[1, 0] - map_[0, 1], map_[0, 0] + map_[1, 1])
        aside = np.abs((turns - turn + np.pi) % (2 * np.pi) - np.pi)
        resized = np.abs(np.log(np.maximum(scales, 1e-6) / scale))
        inliers = away < tolerance * max(scale, 1.0)
        inliers &= (aside < _ANGLE_TOLERANCE) & (resized < _SIZE_TOLERANCE)
        if inliers.sum() < 3:
            return None
    assert map_ is not None
    return map_, places(query.points[inliers], image.points[inliers])


def fit(a: NDArray[np.float32], b: NDArray[np.float32]) -> Map | None:
    """The map that takes points `a` nearest to points `b`, both (n, 2), by least squares.

    A similarity where points are few or nearly on a line, otherwise affine; None where not
    even that is determined.
    """
    if len(a) < 2:
        return None
    a64, b64 = a.astype(np.float64), b.astype(np.float64)
    from_mean, to_mean = a64.mean(axis=0), b64.mean(axis=0)
    a64, b64 = a64 - from_mean, b64 - to_mean
    spread = np.linalg.svd(a64, compute_uv=False)
    if spread[0] < 1e-3:
        return None
    if len(a) >= 8 and spread[1] > 0.15 * spread[0]:
        linear = np.linalg.lstsq(a64, b64, rcond=None)[0].T
    else:
        length = (a64**2).sum()
        cos = (a64 * b64).sum() / length
        sin = (a64[:, 0] * b64[:, 1] - a64[:, 1] * b64[:, 0]).sum() / length
        linear = np.array([(cos, -sin), (sin, cos)])
    map_ = np.eye(3)
    map_[:2, :2] = linear
    map_[:2, 2] = to_mean - linear @ from_mean
    return map_


def places(a: NDArray[np.float32], b: NDArray[np.float32]) -> int:
    """Pairs at places of their own: keypoints at one place with two angles are one."""
    cells = np.hstack([np.floor(a / 6), np.floor(b / 6)]).astype(np.int64)
    return len(np.unique(cells, axis=0))


def centred(map_: Map) -> NDArray[np.float64]:
    """(2, 3) as OpenCV takes it, which has the centre of the first pixel at 0, 0."""
    half = np.array([(1, 0, 0.5), (0, 1, 0.5), (0, 0, 1)])
    return np.asarray((inverse(half) @ map_ @ half)[:2], np.float64)


def uncentred(warp: NDArray[np.floating]) -> Map:
    """The map of a (2, 3) matrix of OpenCV."""
    half = np.array([(1, 0, 0.5), (0, 1, 0.5), (0, 0, 1)])
    return np.asarray(half @ np.vstack([warp, (0, 0, 1)]) @ inverse(half), np.float64)


def scaling(x: float, y: float) -> Map:
    """The map that stretches by x and y."""
    return np.diag([x, y, 1.0])


def mirroring(width: float) -> Map:
    """The map that changes left and right of a picture."""
    return np.array([(-1.0, 0, width), (0, 1, 0), (0, 0, 1)])
