"""Whether two pictures that lie over each other show the same."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from gateway.proof.frames import Frame

Plane = NDArray[np.float32]

# Standard deviations in grey levels below which a place counts as flat: noise of compression.
_FLAT = 4.0
_SIGMAS = (0.0, 0.7, 1.0, 1.4, 2.0, 2.8, 4.0, 5.6, 8.0, 11.3)
_ALIKE = 0.5
_CELLS = 16
_TONES = 24
_SAMPLE = 2000


@dataclass(frozen=True)
class Agreement:
    """How two pictures compare in a frame.

    Attributes:
        correlation: Of brightness over all that is shared, -1 to 1, equally sharp.
        share: Of the structure that either shows there, what both do, 0 to 1.
        kept: Of the structure that one of the two shows, what lies outside boxes around all
            that is not alike, 0 to 1; of the one that keeps more. Something put over a picture
            leaves most of it, other content in the same frame does not.
        places: How many windows of structure there are, side by side: what `share` stands on.
        blur: Standard deviation, in pixels of the frame, of the Gaussian that makes the
            sharper as blurred as the other; 0 for none.
        query_is_sharper: Which is the sharper.
        query: (h, w) luma of the query, with the colours and the sharpness of the image.
        image: (h, w) luma of the image, as sharp as `query`.
        alike: (h, w): local correlation, -1 to 1; 1 where both are flat.
        shared: (h, w) bool: where both are defined, and not by interpolation at an edge.
    """

    correlation: float
    share: float
    kept: float
    places: float
    blur: float
    query_is_sharper: bool
    query: Plane
    image: Plane
    alike: Plane
    shared: NDArray[np.bool_]


def agreement(frame: Frame) -> Agreement | None:
    """Compares what both show, whatever their brightness, contrast, colours and sharpness.

    Returns:
        None if too little is shared to tell.
    """
    shared = cv2.erode(frame.shared.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    if shared.sum() < 64:
        return None
    image = luma(frame.image)
    query = as_bright(frame.query, image, shared)
    query, image, blur, query_is_sharper = _as_sharp(query, image, shared)
    window = max(7, round(max(image.shape) / 24)) | 1
    alike, structures = _local(query, image, shared, window)
    structure = np.maximum(*structures)
    total = float(structure.sum())
    share = float(structure[alike > _ALIKE].sum()) / total if total > 0 else 0.0
    return Agreement(
        correlation(query, image, shared),
        share,
        1.0 if share > 0.99 else _kept(alike, structures, window),
        total / window**2,
        blur,
        query_is_sharper,
        query,
        image,
        alike,
        shared,
    )


def luma(pixels: Plane) -> Plane:
    """(h, w) of (h, w, 3) RGB."""
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), np.float32)


def as_bright(query: Plane, image: Plane, shared: NDArray[np.bool_]) -> Plane:
    """The mix of the query's channels that is nearest to the image's luma, (h, w).

    By least squares with Huber's weights, so that what was put over it counts less.
    """
    places = np.flatnonzero(shared)
    places = places[:: max(1, len(places) // _SAMPLE)]
    sample = np.column_stack([query.reshape(-1, 3)[places], np.ones(len(places), np.float32)])
    wanted = image.reshape(-1)[places]
    weights = np.ones(len(wanted), np.float32)
    # A channel that is a copy of another leaves the mix undetermined: prefer a small one.
    prior = np.diag([4.0, 4.0, 4.0, 1e-3]) * len(wanted) / 100
    mix = np.zeros(4)
    for _ in range(3):
        # Small enough that NumPy's BLAS takes one core.
        weighted = (sample * weights[:, None]).T
        mix = np.linalg.solve(weighted @ sample + prior, weighted @ wanted)
        away = np.abs(sample @ mix - wanted)
        bound = max(2.0, 1.5 * float(np.median(away)))
        weights = (bound / np.maximum(away, bound)).astype(np.float32)
    mixed = np.asarray(cv2.transform(query, mix[None].astype(np.float32)), np.float32)
    return _toned(mixed, mixed.reshape(-1)[places], wanted)


def _toned(plane: Plane, sample: Plane, wanted: Plane) -> Plane:
    """Bends brightness by a rising curve: gamma, and what became all white or all black.

    Args:
        plane: (h, w).
        sample: (n,) pixels of it.
        wanted: (n,) what they should become.
    """
    order = np.argsort(sample, kind="stable")
    count = len(order) // _TONES
    if count < 8:
        return plane
    parts = order[: count * _TONES].reshape(_TONES, count)
    at, to = np.median(sample[parts], axis=1), np.median(wanted[parts], axis=1)
    at = np.maximum.accumulate(at + np.arange(_TONES) * 1e-3)
    to = np.maximum.accumulate(to)
    # Beyond the ends of the curve it goes on as before: what is rare there tells nothing.
    levels = np.arange(256, dtype=np.float32)
    offsets = np.interp(levels, at, to - at).astype(np.float32)
    nearest = np.rint(np.clip(plane, 0, 255)).astype(np.uint8)
    return np.asarray(np.clip(plane + cv2.LUT(nearest, offsets), 0, 255), np.float32)


def correlation(a: Plane, b: Plane, where: NDArray[np.bool_]) -> float:
    """Pearson's, of two planes; 0 if one is flat."""
    x, y = a[where], b[where]
    if not len(x):
        return 0.0
    x, y = x - x.mean(), y - y.mean()
    # Products and sums, not NumPy's dot: its BLAS would take every core.
    norm = float(np.sqrt(float((x * x).sum()) * float((y * y).sum())))
    return float((x * y).sum()) / norm if norm > 1e-6 * len(x) else 0.0


def _as_sharp(
    query: Plane, image: Plane, shared: NDArray[np.bool_]
) -> tuple[Plane, Plane, float, bool]:
    """Blurs the sharper of the two as the other is.

    Both are judged by most of the cells of a grid, whatever was put over the others.
    """
    inside = cv2.erode(shared.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(np.float32)
    energies = [_cells(_slopes(each) * inside) for each in (query, image)]
    telling = np.maximum(*energies) > 1.0
    if not telling.any():
        return query, image, 0.0, True
    lead = np.median(np.log(energies[0][telling] + 0.1) - np.log(energies[1][telling] + 0.1))
    query_is_sharper = bool(lead > 0)
    sharp, other = (query, image) if query_is_sharper else (image, query)
    best, best_sigma, best_error = sharp, 0.0, _difference(sharp, other, inside)
    for sigma in _SIGMAS[1:]:
        if sigma > max(sharp.shape) / 24:
            break
        blurred = np.asarray(cv2.GaussianBlur(sharp, (0, 0), sigma), np.float32)
        error = _difference(blurred, other, inside)
        if error >= best_error:
            break
        best, best_sigma, best_error = blurred, sigma, error
    pair = (best, other) if query_is_sharper else (other, best)
    return *pair, best_sigma, query_is_sharper


def _slopes(plane: Plane) -> Plane:
    """Squares of the gradient."""
    across = cv2.Sobel(plane, cv2.CV_32F, 1, 0, scale=0.125)
    down = cv2.Sobel(plane, cv2.CV_32F, 0, 1, scale=0.125)
    return np.asarray(across * across + down * down, np.float32)


def _difference(a: Plane, b: Plane, inside: Plane) -> float:
    """Mean absolute difference, each cell's cut to three times the median of all."""
    cells = _cells(cv2.absdiff(a, b) * inside)
    return float(np.minimum(cells, 3 * float(np.median(cells)) + 0.5).mean())


def _cells(plane: Plane) -> Plane:
    height, width = plane.shape
    size = min(_CELLS, width), min(_CELLS, height)
    return np.asarray(cv2.resize(plane, size, interpolation=cv2.INTER_AREA), np.float32)


def _local(
    query: Plane, image: Plane, shared: NDArray[np.bool_], window: int
) -> tuple[Plane, tuple[Plane, Plane]]:
    """Correlation of each window, and how much structure each of the two has in it, 0 to 1."""
    mask = shared.astype(np.float32)
    known = np.maximum(_box(mask, window), 1e-6)
    a, b = query * mask, image * mask
    mean_a, mean_b = _box(a, window) / known, _box(b, window) / known
    var_a = np.maximum(_box(a * query, window) / known - mean_a**2, 0)
    var_b = np.maximum(_box(b * image, window) / known - mean_b**2, 0)
    both = _box(a * image, window) / known - mean_a * mean_b
    flat = np.float32(_FLAT**2)
    alike = (both + flat / 4) / (np.sqrt(var_a * var_b) + flat / 4)
    # One with structure where the other has none is not alike either.
    alike = np.minimum(alike, (2 * np.abs(both) + flat) / (var_a + var_b + flat) + 0.25)
    structures = [
        np.asarray(np.where(var < flat / 4, 0, mask * var / (var + flat)), np.float32)
        for var in (var_a, var_b)
    ]
    return np.asarray(alike, np.float32), (structures[0], structures[1])


def _kept(alike: Plane, structures: tuple[Plane, Plane], window: int) -> float:
    unlike = ((alike < _ALIKE) & (np.maximum(*structures) > 0.2)).astype(np.uint8)
    core = cv2.morphologyEx(unlike, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    joined = cv2.morphologyEx(core, cv2.MORPH_CLOSE, np.ones((window, window), np.uint8))
    count, _, found, _ = cv2.connectedComponentsWithStats(joined, connectivity=8)
    outside = np.ones(alike.shape, bool)
    for x, y, width, height, area in found[1:count]:
        if area >= window**2 / 4:
            outside[y : y + height, x : x + width] = False
    shares = [float(each[outside].sum()) / max(float(each.sum()), 1e-6) for each in structures]
    return max(shares)


def _box(plane: Plane, window: int) -> Plane:
    return np.asarray(
        cv2.boxFilter(plane, cv2.CV_32F, (window, window), normalize=True), np.float32
    )
