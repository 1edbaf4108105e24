"""Finds the map from a query to an image that their pixels agree with."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from gateway.proof import geometry
from gateway.proof.agreement import Agreement, agreement
from gateway.proof.aligning import aligned, simplest
from gateway.proof.evidence import confidence, pair_share, pairs_of
from gateway.proof.features import Features
from gateway.proof.frames import Frame, frame
from gateway.proof.geometry import Map
from gateway.proof.matching import Keypoints, keypoints, match, mirrored
from gateway.proof.overlaps import Overlap, overlap

_SIDE = 256
_TRIED_MAPS = 2
_LEAST_PAIRS = 4
# Keypoints that place a map as exactly as pixels do, and are not misled by what is put over it.
_EXACT_PAIRS = 30
_ENOUGH = 0.8
_COARSE_LIKENESS = 0.6
_MAX_STRETCH = 1.12


@dataclass(frozen=True)
class Proof:
    """That two pictures are the same.

    Attributes:
        map_: From the query's working pixels to the image's; mirrors if `is_mirrored`.
        is_mirrored: Whether one shows the other as in a looking glass.
        pairs: Keypoints that agree with the map.
        shared: How much of each the other shows.
        frame: Both laid over each other.
        agreement: How they compare.
        confidence: How sure it is, 0 to 1.
    """

    map_: Map
    is_mirrored: bool
    pairs: int
    shared: Overlap
    frame: Frame
    agreement: Agreement
    confidence: float


def prove(query: Features, image: Features) -> Proof | None:
    """Proves that two pictures are the same; None if they cannot be proven to be."""
    seen = keypoints(image)
    matches: dict[bool, _Matches] = {}
    best: Proof | None = None
    for is_mirrored in (False, True):
        known = mirrored(query) if is_mirrored else keypoints(query)
        pair = match(known, seen)
        matches[is_mirrored] = _Matches(known, seen, *pair)
        for map_, pairs in geometry.candidates(*pair)[:_TRIED_MAPS]:
            if pairs >= _LEAST_PAIRS:
                proof = _checked(query, image, map_, is_mirrored, matches[is_mirrored])
                best = _surer(best, proof)
                if best and best.confidence > _ENOUGH:
                    return best
    for map_, is_mirrored in _whole(query, image):
        best = _surer(best, _checked(query, image, map_, is_mirrored, matches[is_mirrored]))
    return best


@dataclass(frozen=True)
class _Matches:
    """Keypoints of a query, perhaps mirrored, and of an image: all, and those in pairs."""

    query: Keypoints
    image: Keypoints
    query_pairs: Keypoints
    image_pairs: Keypoints


def _surer(a: Proof | None, b: Proof | None) -> Proof | None:
    if a is None or b is None:
        return a or b
    return a if a.confidence >= b.confidence else b


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
        map_ = geometry.scaling(to_width, to_height) @ _quarter_turns(quarter) @ map_
        larger, smaller = np.linalg.svd(map_[:2, :2], compute_uv=False)
        if larger < _MAX_STRETCH * smaller:
            yield map_, is_mirrored


def _quarter_turns(count: int) -> Map:
    """Turns the unit square clockwise onto itself."""
    turn = np.array([(0.0, -1, 1), (1, 0, 0), (0, 0, 1)])
    return np.linalg.matrix_power(turn, count)


def _checked(
    query: Features, image: Features, map_: Map, is_mirrored: bool, matches: _Matches
) -> Proof | None:
    """The better proof by a map, given for a mirrored query if so, and by it made exact."""
    mirror = geometry.mirroring(query.picture.pixels.shape[1]) if is_mirrored else np.eye(3)
    pairs = pairs_of(map_, matches.query_pairs, matches.image_pairs)
    tried = [map_]
    if pairs < _EXACT_PAIRS:
        better = aligned(query, image, map_ @ mirror)
        if better is not None:
            tried.append(better @ mirror)
    best: Proof | None = None
    for free in tried:
        each = simplest(query, image, free @ mirror) @ mirror
        laid = frame(query.picture.pixels, image.picture.pixels, each @ mirror, _SIDE)
        agreed = agreement(laid) if laid else None
        shared = overlap(_in_fractions(each @ mirror, query, image))
        if laid is None or agreed is None or shared is None:
            continue
        pairs = pairs_of(each, matches.query_pairs, matches.image_pairs)
        share = pair_share(pairs, laid, mirror, matches.query, matches.image)
        sure = confidence(agreed, shared, pairs, share)
        if sure > 0:
            proof = Proof(each @ mirror, is_mirrored, pairs, shared, laid, agreed, sure)
            best = _surer(best, proof)
    return best


def _in_fractions(map_: Map, query: Features, image: Features) -> Map:
    (height, width), (to_height, to_width) = query.luma.shape, image.luma.shape
    return geometry.scaling(1 / to_width, 1 / to_height) @ map_ @ geometry.scaling(width, height)
