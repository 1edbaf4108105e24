"""Which keypoints of two pictures look alike."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from gateway.proof.features import Features

# Looser than Lowe's 0.8: geometry and pixels are checked after it.
_RATIO = 0.9
MAX_MATCHES = 160
"""Most pairs that are kept of two pictures."""


@dataclass(frozen=True)
class Keypoints:
    """Keypoints as of Features."""

    points: NDArray[np.float32]
    sizes: NDArray[np.float32]
    angles: NDArray[np.float32]
    descriptors: NDArray[np.uint8]

    def of(self, rows: NDArray[np.intp]) -> "Keypoints":
        """Some of them, in that order."""
        return Keypoints(
            self.points[rows], self.sizes[rows], self.angles[rows], self.descriptors[rows]
        )


def keypoints(of: Features) -> Keypoints:
    """The keypoints of a picture."""
    return Keypoints(of.points, of.sizes, of.angles, of.descriptors)


def mirrored(of: Features) -> Keypoints:
    """The keypoints of the picture as in a looking glass, left and right changed.

    A descriptor is a grid of 4 x 4 histograms of 8 directions, turned with its keypoint: of a
    mirrored one the rows across the keypoint's direction and the directions are reversed.
    """
    points = of.points.copy()
    points[:, 0] = of.picture.pixels.shape[1] - points[:, 0]
    cells = of.descriptors.reshape(-1, 4, 4, 8)[:, ::-1, :, (0, 7, 6, 5, 4, 3, 2, 1)]
    return Keypoints(points, of.sizes, np.float32(np.pi) - of.angles, cells.reshape(-1, 128))


def match(query: Keypoints, image: Keypoints) -> tuple[Keypoints, Keypoints]:
    """Pairs of keypoints that are each other's nearest, clearly nearer than the next one.

    Returns:
        Those of the query, and in the same order those of the image, the clearest first.
    """
    none = np.zeros(0, np.intp)
    if len(query.points) < 2 or len(image.points) < 2:
        return query.of(none), image.of(none)
    alike = _products(query.descriptors, image.descriptors)
    rows = np.arange(len(alike))
    best = alike.argmax(axis=1)
    mutual = alike.argmax(axis=0)[best] == rows
    first = alike[rows, best]
    alike[rows, best] = -1
    second = alike.max(axis=1)
    # Of unit vectors: squared distance = 2 - 2 x cosine.
    ratio = np.sqrt(np.maximum(1 - first, 0) / np.maximum(1 - second, 1e-6))
    kept = np.flatnonzero(mutual & (ratio < _RATIO))
    kept = kept[np.argsort(ratio[kept], kind="stable")][:MAX_MATCHES]
    return query.of(kept), image.of(best[kept])


def _products(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Cosines of descriptors, by OpenCV: NumPy's BLAS would take every core."""
    unit = [np.asarray(rows / np.float32(255), np.float32) for rows in (a, b)]
    nothing = np.zeros((len(a), len(b)), np.float32)
    return np.asarray(cv2.gemm(unit[0], unit[1], 1.0, nothing, 0.0, flags=cv2.GEMM_2_T), np.float32)
