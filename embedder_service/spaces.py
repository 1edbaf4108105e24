"""Spaces: what makes two vectors comparable."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

_DIGITS = 16


def digest(weights: Iterable[Path]) -> str:
    """SHA-256 of a model's weights, as `cat FILE … | sha256sum` gives it.

    Args:
        weights: The weight files, in a fixed order. They are read in pieces.
    """
    found = hashlib.sha256()
    for path in weights:
        with path.open("rb") as file:
            while piece := file.read(1 << 20):
                found.update(piece)
    return found.hexdigest()


def revision(weights: Iterable[Path]) -> str:
    """Names a model's weights: "sha256:" and the first 16 hex digits of their digest."""
    return f"sha256:{digest(weights)[:_DIGITS]}"


def space(image_model: str, image_revision: str) -> str:
    """Names the space of an image model and of every text model aligned to it."""
    return f"{image_model}@{image_revision}"
