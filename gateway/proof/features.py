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
_CONTRAST = 0.02
_SMALL_SIDE = 128
_COARSE = 32
_EVEN_SIGMA = 12.0
_EVEN_CONTRAST = 45.0
_EVEN_FLOOR = 6.0


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
        small: (h, w) uint8: luma of at most 128 a side, for aligning.
        coarse: (32, 32) float32: the whole picture squeezed into a square, without its slow
            gradients, of length 1; zeros if it is flat.
    """

    picture: Picture
    points: NDArray[np.float32]
    sizes: NDArray[np.float32]
    angles: NDArray[np.float32]
    descriptors: NDArray[np.uint8]
    luma: NDArray[np.uint8]
    small: NDArray[np.uint8]
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
    detected = _within(luma, _DETECTION_SIDE)
    size = detected.shape[::-1]
    sift = cv2.SIFT.create(nfeatures=MAX_KEYPOINTS, contrastThreshold=_CONTRAST)
    everywhere = np.full(detected.shape, 255, np.uint8)
    found, computed = sift.detectAndCompute(_even(detected), everywhere)
    descriptors = np.asarray(computed if found else np.zeros((0, 128)), np.float32)
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
        small=_within(detected, _SMALL_SIDE),
        coarse=_coarse(luma),
    )


def _within(luma: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """At most so many pixels a side."""
    height, width = luma.shape
    by = side / max(height, width)
    if by >= 1:
        return luma
    size = max(1, round(width * by)), max(1, round(height * by))
    return np.asarray(cv2.resize(luma, size, interpolation=cv2.INTER_AREA), np.uint8)


def _even(luma: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Gives all places about the same contrast.

    So that the strongest keypoints are not all in one bright part of a picture, and a faint
    picture beside others has some as well.
    """
    plane = luma.astype(np.float32)
    mean = cv2.GaussianBlur(plane, (0, 0), _EVEN_SIGMA)
    square = cv2.GaussianBlur(plane * plane, (0, 0), _EVEN_SIGMA)
    deviation = np.sqrt(np.maximum(square - mean * mean, 0))
    even = 128 + _EVEN_CONTRAST * (plane - mean) / (deviation + _EVEN_FLOOR)
    return np.asarray(np.clip(even, 0, 255), np.uint8)


def _root(descriptors: NDArray[np.float32]) -> NDArray[np.uint8]:
    sums = np.maximum(descriptors.sum(axis=1, keepdims=True), 1e-6)
    return np.asarray(np.rint(np.sqrt(descriptors / sums) * 255), np.uint8)


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
