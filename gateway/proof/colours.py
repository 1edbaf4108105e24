"""Whether two pictures that lie over each other differ in colour."""

import cv2
import numpy as np
from numpy.typing import NDArray

from gateway.proof.frames import Frame

_CELLS = 24
# Grey levels between the averages of cells that lossy compression does not explain.
_LEAST = 5.0
# Share of the difference that a change of all colours alike must explain.
_EXPLAINED = 0.5
# Difference of the channels of a grey picture after lossy compression.
_GREY_MEAN = 3.0
_GREY_MOST = 16.0


def is_grey(pixels: NDArray[np.float32], where: NDArray[np.bool_]) -> bool:
    """Whether a picture, (h, w, 3), has no colour there."""
    chosen = pixels[where]
    if not len(chosen):
        return True
    chosen = chosen[:: max(1, len(chosen) // 4000)]
    chroma = chosen.max(axis=1) - chosen.min(axis=1)
    return bool(chroma.mean() < _GREY_MEAN and np.percentile(chroma, 98) < _GREY_MOST)


def is_recoloured(frame: Frame, same: NDArray[np.bool_], by_luma: bool) -> bool:
    """Whether brightness, contrast or colours differ over the picture as a whole.

    Averages of cells are compared, since compression and blur leave them as they are.

    Args:
        frame: The two pictures.
        same: (h, w) bool: where both show the same.
        by_luma: Compare brightness alone.
    """
    query, image = frame.query, frame.image
    if by_luma:
        query = cv2.cvtColor(query, cv2.COLOR_RGB2GRAY)[..., None]
        image = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None]
    weight = _cells(same.astype(np.float32)[..., None])[..., 0]
    chosen = weight > 0.6
    if chosen.sum() < 6:
        return False
    mask = same[..., None].astype(np.float32)
    a = (_cells(query * mask) / np.maximum(weight, 1e-6)[..., None])[chosen]
    b = (_cells(image * mask) / np.maximum(weight, 1e-6)[..., None])[chosen]
    away = np.abs(a - b).max(axis=1)
    if np.mean(away) < _LEAST:
        return False
    known = np.column_stack([a, np.ones(len(a))]).astype(np.float64)
    prior = np.eye(known.shape[1])
    prior[-1, -1] = 1e-3
    mix = np.linalg.solve(known.T @ known + prior, known.T @ b)
    left = float(((known @ mix - b) ** 2).sum())
    return left < (1 - _EXPLAINED) * float(((a - b) ** 2).sum())


def _cells(plane: NDArray[np.float32]) -> NDArray[np.float32]:
    size = min(_CELLS, plane.shape[1]), min(_CELLS, plane.shape[0])
    small = cv2.resize(plane, size, interpolation=cv2.INTER_AREA)
    return np.asarray(small.reshape(size[1], size[0], -1), np.float32)
