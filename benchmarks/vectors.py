"""Vectors to search among: real ones from a file, or random ones that look like CLIP's."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

DIMENSIONS = 512

Vectors = NDArray[np.float32]
"""(count, 512), unit length."""


def like_clip(count: int, seed: int = 0) -> Vectors:
    """Makes vectors that are clustered and anisotropic, as those of pictures are.

    All lie in a cone (a common offset, large in two dimensions), so that unrelated ones have a
    cosine of about 0.6 and related ones of about 0.85. The variance of their principal
    components falls as a power, but the axes are not those components: each dimension has
    about the same. They come in clusters of very different sizes.
    """
    rng = np.random.default_rng(seed)
    spectrum = (np.arange(1, DIMENSIONS + 1) ** -0.5).astype(np.float32)
    axes = np.linalg.qr(rng.standard_normal((DIMENSIONS, DIMENSIONS)))[0].astype(np.float32)
    scale = spectrum[:, None] * axes
    offset = rng.standard_normal(DIMENSIONS).astype(np.float32)
    offset[[92, 133]] *= 10
    offset *= 1.5 * np.linalg.norm(spectrum) / np.linalg.norm(offset)
    clusters = max(20, count // 200)
    centres = rng.standard_normal((clusters, DIMENSIONS)).astype(np.float32) @ scale
    sizes = rng.pareto(1.5, clusters) + 0.1
    belongs = rng.choice(clusters, size=count, p=sizes / sizes.sum())
    made = np.empty((count, DIMENSIONS), np.float32)
    for begin in range(0, count, 50_000):
        part = belongs[begin : begin + 50_000]
        noise = rng.standard_normal((len(part), DIMENSIONS)).astype(np.float32) @ scale
        made[begin : begin + len(part)] = offset + centres[part] + 0.7 * noise
    return unit(made)


def from_file(path: Path, count: int) -> Vectors:
    """Reads vectors from a .npy file of shape (n, 512).

    Raises:
        SystemExit: They are of another shape, or too few.
    """
    found = np.load(path, mmap_mode="r")
    if found.ndim != 2 or found.shape[1] != DIMENSIONS or len(found) < count:
        raise SystemExit(f"{path} holds {found.shape}; at least ({count}, {DIMENSIONS}) is needed")
    return unit(np.asarray(found[:count], np.float32))


def unit(vectors: Vectors) -> Vectors:
    """Scales each to unit length."""
    scaled: Vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return scaled


def queries(vectors: Vectors, count: int, seed: int = 1) -> Vectors:
    """Makes vectors near stored ones, as those of other pictures of the same things are."""
    rng = np.random.default_rng(seed)
    picked = vectors[rng.choice(len(vectors), size=count, replace=False)]
    noise = rng.standard_normal(picked.shape).astype(np.float32)
    return unit(picked + 0.5 * noise / np.sqrt(DIMENSIONS))


def nearest(vectors: Vectors, wanted: Vectors, k: int) -> list[set[int]]:
    """The k nearest of each, all compared."""
    found = []
    for query in wanted:
        scores = vectors @ query
        found.append(set(np.argpartition(-scores, k)[:k].tolist()))
    return found
