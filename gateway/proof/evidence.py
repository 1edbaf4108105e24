"""How sure it is that two aligned pictures are the same.

The bounds lie between what versions of photos reach and what pairs reach that are not the same
picture, among them other photos of one scene, windows of one program and products that
differ by their label: see benchmarks/versions.py.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from gateway.proof import geometry
from gateway.proof.agreement import Agreement, correlation
from gateway.proof.frames import Frame
from gateway.proof.geometry import Map
from gateway.proof.matching import MAX_MATCHES, Keypoints
from gateway.proof.overlaps import Overlap

_TOLERANCE = 3.0
_LEAST_CORRELATION = 0.55
# Of what is finer than windows of a 24th of the side: grey levels, and correlation.
_LEAST_DETAIL = 1.5
_MUCH_DETAIL = 4.0
_DETAILS_ALIKE = 0.6
_LEAST_TURNS = 0.02


def pairs_of(map_: Map, query: Keypoints, image: Keypoints) -> int:
    """Pairs of keypoints, as of `match`, that a map agrees with, at places of their own."""
    away = np.linalg.norm(geometry.apply(map_, query.points) - image.points, axis=1)
    near = away < _TOLERANCE * max(geometry.scale_of(map_), 1.0)
    return geometry.places(query.points[near], image.points[near])


def pair_share(pairs: int, frame: Frame, mirror: Map, query: Keypoints, image: Keypoints) -> float:
    """Share of the keypoints of what both show that are in pairs; of the one with the larger.

    Args:
        pairs: How many are.
        frame: What both show.
        mirror: What mirrors the query, or nothing; it is its own inverse.
        query: All keypoints of the query, mirrored if it is.
        image: All keypoints of the image.
    """
    counts = [
        min(MAX_MATCHES, _inside(known.points, to, frame))
        for known, to in ((query, frame.from_query @ mirror), (image, frame.from_image))
    ]
    return min(1.0, pairs / max(1, min(counts)))


def _inside(points: NDArray[np.float32], to_frame: Map, frame: Frame) -> int:
    moved = geometry.apply(to_frame, points)
    height, width = frame.shared.shape
    return int(((moved >= 0) & (moved < (width, height))).all(axis=1).sum())


def confidence(agreed: Agreement, shared: Overlap, pairs: int, share: float) -> float:
    """How sure two pictures are the same, 0 to 1; 0 where it is not proven.

    Args:
        agreed: How their pixels compare.
        shared: How much they share.
        pairs: Pairs of keypoints that agree with the map.
        share: Of the keypoints, those in pairs, as of `pair_share`.
    """
    most = max(shared.of_query, shared.of_image)
    if agreed.correlation < _LEAST_CORRELATION and share < 0.5:
        return 0.0
    proven = (
        _same_everywhere(agreed, shared, pairs, share)
        or _partly_covered(agreed, pairs, share)
        or _same_from_afar(agreed, shared)
    )
    if not proven or (most < 0.5 and (pairs < 40 or most < 0.15)):
        return 0.0
    evidence = pairs + agreed.share * agreed.places / 8
    return float(max(agreed.share, agreed.kept) * (1 - np.exp(-evidence / 8)))


def _same_everywhere(agreed: Agreement, shared: Overlap, pairs: int, share: float) -> bool:
    """Keypoints agree, and all of the structure does."""
    if pairs >= 8 and share >= 0.1:
        return agreed.share >= 0.93
    few = pairs >= 5 and (agreed.places >= 80 or (share >= 0.5 and agreed.places >= 20))
    return few and agreed.share >= 0.97 and max(shared.of_query, shared.of_image) > 0.9


def _partly_covered(agreed: Agreement, pairs: int, share: float) -> bool:
    """So many keypoints agree that something may have been put over a part."""
    if pairs >= 60 and share >= 0.5:
        return agreed.share >= 0.5 and (agreed.kept >= 0.3 or agreed.share >= 0.85)
    return pairs >= 45 and share >= 0.33 and agreed.share >= 0.55 and agreed.kept >= 0.6


def _same_from_afar(agreed: Agreement, shared: Overlap) -> bool:
    """Too few keypoints, but the whole pictures agree everywhere, as far as they show anything."""
    side = max(agreed.image.shape)
    if min(shared.of_query, shared.of_image) < 0.97 or agreed.places < 12:
        return False
    sharp = agreed.share >= 0.95 and agreed.blur <= 2.0 * side / 256
    if not sharp and (agreed.share < 0.995 or agreed.blur > 4.0 * side / 256):
        return False
    # Skies and walls have the same slow gradients everywhere.
    details = [_details(each, side / 24) for each in (agreed.query, agreed.image)]
    contrast = min(float(each[agreed.shared].std()) for each in details)
    alike = correlation(details[0], details[1], agreed.shared)
    if contrast < _LEAST_DETAIL or alike < _DETAILS_ALIKE:
        return False
    return contrast > _MUCH_DETAIL or _turns(agreed) > _LEAST_TURNS


def _turns(agreed: Agreement) -> float:
    """How much the directions of the image's gradients differ: 0 all one, 1 all alike.

    The ratio of the eigenvalues of its structure tensor (Förstner and Gülch 1987).
    """
    across = cv2.Sobel(agreed.image, cv2.CV_32F, 1, 0)[agreed.shared]
    down = cv2.Sobel(agreed.image, cv2.CV_32F, 0, 1)[agreed.shared]
    both = float((across * down).mean())
    tensor = np.array([(float((across**2).mean()), both), (both, float((down**2).mean()))])
    smaller, larger = np.linalg.eigvalsh(tensor)
    return float(smaller / larger) if larger > 1e-6 else 0.0


def _details(plane: NDArray[np.float32], sigma: float) -> NDArray[np.float32]:
    return plane - np.asarray(cv2.GaussianBlur(plane, (0, 0), sigma), np.float32)
