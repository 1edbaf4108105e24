"""Finds the map from a query to an image that their pixels agree with."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from gateway.proof import geometry
from gateway.proof.agreement import Agreement, agreement
from gateway.proof.aligning import aligned
from gateway.proof.features import Features
from gateway.proof.frames import Frame, frame
from gateway.proof.geometry import Map
from gateway.proof.matching import keypoints, match, mirrored

_SIDE = 256
_TRIED_MAPS = 2
_LEAST_PAIRS = 4
_SURE_PAIRS = 12
_COARSE_LIKENESS = 0.6
_MAX_STRETCH = 1.12


@dataclass(frozen=True)
class Proof:
    """That two pictures are the same.

    Attributes:
        map_: From the query's working pixels to the image's; mirrors if `is_mirrored`.
        is_mirrored: Whether one shows the other as in a looking glass.
        pairs: Keypoints that agree with the map; 0 where none were used.
        frame: Both laid over each other.
        agreement: How they compare.
        confidence: How sure it is, 0 to 1.
    """

    map_: Map
    is_mirrored: bool
    pairs: int
    frame: Frame
    agreement: Agreement
    confidence: float


def prove(query: Features, image: Features) -> Proof | None:
    """Proves that two pictures are the same; None if they cannot be proven to be."""
    best: Proof | None = None
    for map_, is_mirrored, pairs in _maps(query, image):
        proof = _checked(query, image, map_, is_mirrored, pairs)
        if proof and (best is None or proof.confidence > best.confidence):
            best = proof
        if best and best.confidence > 0.8:
            break
    return best


def _maps(query: Features, image: Features) -> Iterator[tuple[Map, bool, int]]:
    """Maps worth a look, the likeliest first, whether they mirror, and pairs for them."""
    seen = keypoints(image)
    for is_mirrored in (False, True):
        known = mirrored(query) if is_mirrored else keypoints(query)
        for map_, pairs in geometry.candidates(*match(known, seen))[:_TRIED_MAPS]:
            if pairs >= _LEAST_PAIRS:
                if is_mirrored:
                    map_ = map_ @ geometry.mirroring(query.picture.pixels.shape[1])
                yield map_, is_mirrored, pairs
    for map_, is_mirrored in _whole(query, image):
        yield map_, is_mirrored, 0


def _whole(query: Features, image: Features) -> Iterator[tuple[Map, bool]]:
    """Maps of all of the query to all of the image, where both look alike from afar.

    For pictures with too few keypoints: blurred, tiny or faint ones.
    """
    shape = query.picture.pixels.shape, image.picture.pixels.shape
    (height, width), (to_height, to_width) = shape[0][:2], shape[1][:2]
    likeness = []
    for is_mirrored in (False, True):
        seen = query.coarse[:, ::-1] if is_mirrored else query.coarse
        for quarter in range(4):
            turned = np.rot90(seen, -quarter)
            likeness.append((float((turned * image.coarse).sum()), is_mirrored, quarter))
    for alike, is_mirrored, quarter in sorted(likeness, reverse=True)[:2]:
        if alike < _COARSE_LIKENESS:
            break
        map_ = geometry.scaling(1 / width, 1 / height)
        if is_mirrored:
            map_ = geometry.mirroring(1) @ map_
        map_ = geometry.scaling(to_width, to_height) @ _quarter_turns(quarter) @ map_
        larger, smaller = np.linalg.svd(map_[:2, :2], compute_uv=False)
        if larger < _MAX_STRETCH * smaller:
            yield map_, is_mirrored


def _quarter_turns(count: int) -> Map:
    """Turns the unit square clockwise onto itself."""
    turn = np.array([(0.0, -1, 1), (1, 0, 0), (0, 0, 1)])
    return np.linalg.matrix_power(turn, count)


def _checked(
    query: Features, image: Features, map_: Map, is_mirrored: bool, pairs: int
) -> Proof | None:
    better = aligned(query.luma, image.luma, map_)
    for tried in (better[0] if better else None, map_):
        if tried is None:
            continue
        laid = frame(query.picture.pixels, image.picture.pixels, tried, _SIDE)
        agreed = agreement(laid) if laid else None
        if laid and agreed:
            confidence = _confidence(agreed, pairs)
            if confidence > 0:
                return Proof(tried, is_mirrored, pairs, laid, agreed, confidence)
    return None


def _confidence(agreed: Agreement, pairs: int) -> float:
    """How sure two pictures are the same, 0 to 1; 0 for not proven."""
    if agreed.places < 4 or agreed.share < 0.5 or agreed.correlation < 0.4:
        return 0.0
    if pairs < _SURE_PAIRS and (agreed.share < 0.85 or agreed.correlation < 0.8):
        return 0.0
    evidence = pairs + agreed.places / 4
    return float(agreed.share * (1 - np.exp(-evidence / 6)))
