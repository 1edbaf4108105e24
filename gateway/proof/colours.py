"""Whether two pictures that lie over each other differ in colour."""

import cv2
import numpy as np
from numpy.typing import NDArray

from gateway.proof.agreement import luma
from gateway.proof.frames import Frame

_CELLS = 24
# Grey levels between the averages of cells, of the tenth that differ most. Lossy compression makes
# some, since each block of pixels has an average of few levels.
_LEAST = 6.5
_MUCH = 13.0
# Share of the difference that a change of all colours alike leaves unexplained, at most; what
# compression does to each block is mostly unexplained.
_LEFT = 0.2
_LEFT_OF_MUCH = 0.5
# Spread of the channels: that a grey picture has at most, that one with colours has at least.
_GREY = 6.0
_COLOUR = 16.0


def is_one_grey(frame: Frame, where: NDArray[np.bool_]) -> bool:
    """Whether one of two pictures has no colours there and the other has."""
    spreads = sorted(_spread(each, where) for each in (frame.query, frame.image))
    return spreads[0] < _GREY and spreads[1] > _COLOUR


def _spread(pixels: NDArray[np.float32], where: NDArray[np.bool_]) -> float:
    """Difference between the channels of the most colourful pixels, (h, w, 3), in grey levels."""
    places = np.flatnonzero(where)
    if not len(places):
        return 0.0
    chosen = pixels.reshape(-1, 3)[places[:: max(1, len(places) // 3000)]]
    return float(np.percentile(chosen.max(axis=1) - chosen.min(axis=1), 98))


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
        query, image = luma(query)[..., None], luma(image)[..., None]
    weight = _cells(same.astype(np.float32)[..., None])[..., 0]
    chosen = weight > 0.6
    if chosen.sum() < 6:
        return False
    mask = same[..., None].astype(np.float32)
    a = (_cells(query * mask) / np.maximum(weight, 1e-6)[..., None])[chosen]
    b = (_cells(image * mask) / np.maximum(weight, 1e-6)[..., None])[chosen]
    away = float(np.percentile(np.abs(a - b).max(axis=1), 90))
    if away < _LEAST:
        return False
    known = np.column_stack([a, np.ones(len(a))]).astype(np.float64)
    prior = np.eye(known.shape[1])
    prior[-1, -1] = 1e-3
    mix = np.linalg.solve(known.T @ known + prior, known.T @ b)
    left = float(((known @ mix - b) ** 2).sum())
    return left < (_LEFT_OF_MUCH if away > _MUCH else _LEFT) * float(((a - b) ** 2).sum())


def _cells(plane: NDArray[np.float32]) -> NDArray[np.float32]:
    size = min(_CELLS, plane.shape[1]), min(_CELLS, plane.shape[0])
    small = cv2.resize(plane, size, interpolation=cv2.INTER_AREA)
    return np.asarray(small.reshape(size[1], size[0], -1), np.float32)
