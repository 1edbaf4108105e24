"""Whether an image is another form of a query, and which."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from gateway.proof import geometry
from gateway.proof.boxes import WHOLE, Box
from gateway.proof.changes import boxes, changed
from gateway.proof.colours import is_one_grey, is_recoloured
from gateway.proof.features import Features
from gateway.proof.proving import Proof, prove
from gateway.proof.relations import Relation
from gateway.proof.sharpness import is_blurred
from gateway.proof.surroundings import Surroundings, surroundings

# Area shown of a picture that counts as all of it: alignment is that exact.
_ALL = 0.97
# Lengths that differ by less are the same size.
_SAME_SIZE = 0.03
_SAME_ANGLE = 1.5


@dataclass(frozen=True)
class Comparison:
    """A proof that an image is the same picture as a query.

    Attributes:
        relations: What makes it another form, the one that says most first; never empty.
        confidence: How sure that it is the same picture, 0 to 1.
        query_overlap: Share of the query's area that the image shows, 0 to 1.
        image_overlap: Share of the image's area that the query shows, 0 to 1.
        query_box: The part of the query that the image shows.
        image_box: The part of the image that the query shows.
        changed_boxes: Parts of the image that differ from the query, largest first.
        rotation_degrees: How far the image is turned against the query, clockwise, -180 to
            180; against the mirrored query if it is mirrored.
        homography: (3, 3) float64, from homogeneous coordinates in the query to those in the
            image, both in fractions.
    """

    relations: tuple[Relation, ...]
    confidence: float
    query_overlap: float
    image_overlap: float
    query_box: Box
    image_box: Box
    changed_boxes: tuple[Box, ...]
    rotation_degrees: float
    homography: NDArray[np.float64]


def compare(query: Features, image: Features) -> Comparison | None:
    """Proves that an image is another form of a query, and says which.

    It may be called in several threads at once, takes one core each, and gives the same for the
    same pictures.

    Returns:
        None if it is not proven: another picture, or too little to tell by.
    """
    cv2.setNumThreads(1)
    if _identical(query, image):
        relations = (Relation.IDENTICAL_PIXELS,)
        return Comparison(relations, 1.0, 1.0, 1.0, WHOLE, WHOLE, (), 0.0, np.eye(3))
    proof = prove(query, image)
    if proof is None:
        return None
    sizes = [each.picture.pixels.shape[1::-1] for each in (query, image)]
    to_image = geometry.scaling(1 / sizes[1][0], 1 / sizes[1][1])
    homography = to_image @ proof.map_ @ geometry.scaling(*sizes[0])
    shared = proof.shared
    differences = _differences(query, image, proof)
    turned = _rotation(proof)
    return Comparison(
        relations=_relations(query, image, proof, homography, turned, differences),
        confidence=proof.confidence,
        query_overlap=shared.of_query,
        image_overlap=shared.of_image,
        query_box=shared.query_box,
        image_box=shared.image_box,
        changed_boxes=differences.boxes,
        rotation_degrees=turned,
        homography=homography,
    )


@dataclass(frozen=True)
class _Differences:
    """Where two pictures differ, and where they show the same: (h, w) bool of the frame."""

    boxes: tuple[Box, ...]
    same: NDArray[np.bool_]
    is_blurred: bool


def _differences(query: Features, image: Features, proof: Proof) -> _Differences:
    height, width = image.luma.shape
    differs = changed(proof.agreement, is_blurred=False)
    found = boxes(differs, proof.frame, width, height)
    blurred = is_blurred(query.luma, image.luma, proof.map_, found)
    if blurred:
        differs = changed(proof.agreement, is_blurred=True)
        found = boxes(differs, proof.frame, width, height)
    near = cv2.dilate(differs.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    return _Differences(found, proof.agreement.shared & ~near, blurred)


def _identical(query: Features, image: Features) -> bool:
    a, b = query.picture, image.picture
    if (a.width, a.height) != (b.width, b.height):
        return False
    if a.digest is not None and b.digest is not None:
        return a.digest == b.digest
    return np.array_equal(a.pixels, b.pixels)


def _rotation(proof: Proof) -> float:
    linear = proof.map_[:2, :2]
    if proof.is_mirrored:
        linear = linear @ np.diag([-1.0, 1.0])
    turn = np.arctan2(linear[1, 0] - linear[0, 1], linear[0, 0] + linear[1, 1])
    return float(np.degrees(turn))


def _relations(
    query: Features,
    image: Features,
    proof: Proof,
    homography: NDArray[np.float64],
    turned: float,
    differences: _Differences,
) -> tuple[Relation, ...]:
    shared, same = proof.shared, differences.same
    around = _around(image, shared.of_image, shared.image_box, turned)
    around_query = _around(query, shared.of_query, shared.query_box, turned)
    one_grey = is_one_grey(proof.frame, same)
    says = {
        Relation.COLLAGE: Surroundings.PICTURES in (around, around_query),
        Relation.MIRRORED: proof.is_mirrored,
        Relation.ROTATED: abs(turned) > _SAME_ANGLE,
        Relation.CROPPED: shared.of_query < _ALL,
        Relation.WIDER: around is Surroundings.SCENE,
        Relation.PADDED: around is Surroundings.BORDER,
        Relation.OVERLAID: bool(differences.boxes),
        Relation.GREYSCALE: one_grey,
        Relation.RECOLOURED: is_recoloured(proof.frame, same, one_grey),
        Relation.BLURRED: differences.is_blurred,
        Relation.RESIZED: _is_resized(query, image, homography),
    }
    relations = tuple(relation for relation, holds in says.items() if holds)
    return relations or (Relation.RECOMPRESSED,)


def _around(of: Features, share: float, box: Box, turned: float) -> Surroundings:
    if share >= _ALL:
        return Surroundings.NOTHING
    aslant = abs((turned + 45) % 90 - 45) > _SAME_ANGLE
    if aslant and box.area > _ALL**2:  # all that is around are the corners
        return Surroundings.NOTHING
    return surroundings(of.luma, box)


def _is_resized(query: Features, image: Features, homography: NDArray[np.float64]) -> bool:
    a, b = query.picture, image.picture
    grown = abs(np.linalg.det(homography[:2, :2])) * b.width * b.height / (a.width * a.height)
    return bool(abs(np.log(max(grown, 1e-12))) / 2 > _SAME_SIZE)
