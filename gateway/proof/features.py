"""Pictures as they are compared, and their local features."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

WORKING_SIDE = 512
"""Most pixels a side that are compared: what the image store keeps as a thumbnail."""

MAX_KEYPOINTS = 400
_DETECTION_SIDE = 288
# Below OpenCV's 0.04, for blurred and faint pictures: the strongest are kept of too many.
_CONTRAST = 0.015
_COARSE = 32


@dataclass(frozen=True)
class Picture:
    """A decoded image.

    Attributes:
        pixels: (height, width, 3) uint8, RGB, upright, at most WORKING_SIDE a side.
        width: Of the original, in pixels.
        height: Of the original, in pixels.
        digest: Hash of the original's decoded pixels, if it is known: says for sure whether
            two originals have the same ones.
    """

    pixels: NDArray[np.uint8]
    width: int
    height: int
    digest: bytes | None = None


@dataclass(frozen=True)
class Features:
    """What is needed of a picture to compare it: some 700 kB.

    Attributes:
        picture: Itself.
        points: (n, 2) float32: where the keypoints are, x and y in working pixels; the upper
            left corner of the picture is 0, 0, so the centre of the first pixel 0.5, 0.5.
        sizes: (n,) float32: their diameters in working pixels.
        angles: (n,) float32: their directions in radians, clockwise from the x axis.
        descriptors: (n, 128) uint8: RootSIFT, of length 255.
        luma: (height, width) uint8.
        coarse: (32, 32) float32: the whole picture squeezed into a square, without its slow
            gradients, of length 1; zeros if it is flat.
    """

    picture: Picture
    points: NDArray[np.float32]
    sizes: NDArray[np.float32]
    angles: NDArray[np.float32]
    descriptors: NDArray[np.uint8]
    luma: NDArray[np.uint8]
    coarse: NDArray[np.float32]


def picture(pixels: NDArray[np.uint8], digest: bytes | None = None) -> Picture:
    """Makes a picture of decoded pixels of any size.

    Args:
        pixels: (height, width, 3) RGB, upright.
        digest: As of Picture.
    """
    height, width = pixels.shape[:2]
    by = WORKING_SIDE / max(height, width)
    if by < 1:
        size = max(1, round(width * by)), max(1, round(height * by))
        pixels = np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)
    return Picture(pixels, width, height, digest)


def features(picture: Picture) -> Features:
    """Finds what a picture can be recognised by.

    SIFT (Lowe 2004, "Distinctive Image Features from Scale-Invariant Keypoints") with the
    square roots of its descriptors (Arandjelović and Zisserman 2012, "Three things everyone
    should know to improve object retrieval").
    """
    cv2.setNumThreads(1)
    luma = np.asarray(cv2.cvtColor(picture.pixels, cv2.COLOR_RGB2GRAY), np.uint8)
    height, width = luma.shape
    by = min(1.0, _DETECTION_SIDE / max(height, width))
    size = max(1, round(width * by)), max(1, round(height * by))
    small = luma if by == 1 else cv2.resize(luma, size, interpolation=cv2.INTER_AREA)
    found, descriptors = cv2.SIFT.create(
        nfeatures=MAX_KEYPOINTS, contrastThreshold=_CONTRAST
    ).detectAndCompute(small, None)
    across = np.array([width / size[0], height / size[1]])
    rows = np.array(
        [(point.pt[0], point.pt[1], point.size, point.angle) for point in found], np.float32
    ).reshape(-1, 4)
    return Features(
        picture=picture,
        points=((rows[:, :2] + 0.5) * across).astype(np.float32),
        sizes=rows[:, 2] * np.float32(across.mean()),
        angles=np.radians(rows[:, 3]),
        descriptors=_root(descriptors),
        luma=luma,
        coarse=_coarse(luma),
    )


def _root(descriptors: NDArray[np.float32] | None) -> NDArray[np.uint8]:
    if descriptors is None or not len(descriptors):
        return np.zeros((0, 128), np.uint8)
    sums = np.maximum(descriptors.sum(axis=1, keepdims=True), 1e-6)
    return np.rint(np.sqrt(descriptors / sums) * 255).astype(np.uint8)


def _coarse(luma: NDArray[np.uint8]) -> NDArray[np.float32]:
    size = (_COARSE, _COARSE)
    small = cv2.resize(luma, size, interpolation=cv2.INTER_AREA).astype(np.float32)
    small -= cv2.GaussianBlur(small, (0, 0), _COARSE / 6)
    small -= small.mean()
    length = float(np.linalg.norm(small))
    # Less than half a grey level: rounding, not content.
    if length < 0.5 * _COARSE:
        return np.zeros((_COARSE, _COARSE), np.float32)
    return np.asarray(small / length, np.float32)
