"""Golden vectors: what a model gave when it was made, kept beside its weights.

`golden.json` in a model's folder, every part of it optional:

    {"images": [{"width": 64, "height": 48, "rectangles": [[0, 0, 30, 20, 255, 0, 0]],
                 "vector": [...]}],
     "texts": [{"text": "a red square", "vector": [...]}]}

A rectangle is left, top, right, bottom (excluded) and red, green, blue, on white. A service
whose libraries or hardware give other vectors does not start.
"""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from embedder_service.model import ImageTower, TextTower
from service_kit.server import StartError

FILE = "golden.json"

# Half precision keeps more than this; another preprocessing, tokenizer or weight file does not.
_SAME = 0.999

Rectangle = Sequence[int]


def check(folder: Path, image: ImageTower | None, text: TextTower | None) -> None:
    """Compares what the towers give with the folder's golden vectors, if it has any.

    Raises:
        StartError: They differ, or the file cannot be read.
    """
    path = folder / FILE
    if not path.exists():
        return
    try:
        golden = json.loads(path.read_text(encoding="utf-8"))
        images = golden.get("images", []) if image else []
        texts = golden.get("texts", []) if text else []
        cases: list[tuple[str, Any, Any]] = [
            (f"picture {i}", case["vector"], _encode_picture(image, case))
            for i, case in enumerate(images)
        ]
        cases += [(repr(c["text"]), c["vector"], _encode_text(text, c["text"])) for c in texts]
        cosines = {what: float(np.dot(expected, actual)) for what, expected, actual in cases}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise StartError(f"{path} cannot be read: {error!r}") from error
    for what, cosine in cosines.items():
        if not cosine >= _SAME:
            raise StartError(
                f"the model in {folder} is not what it was: {what} has a cosine of {cosine:.4f} "
                f"to its golden vector"
            )


def record(
    folder: Path,
    image: ImageTower | None,
    text: TextTower | None,
    pictures: Iterable[tuple[int, int, Sequence[Rectangle]]] = (),
    texts: Iterable[str] = (),
) -> None:
    """Writes golden vectors into a folder, of pictures (width, height, rectangles) and texts."""
    golden: dict[str, list[dict[str, Any]]] = {"images": [], "texts": []}
    for width, height, rectangles in pictures:
        case: dict[str, Any] = {"width": width, "height": height, "rectangles": list(rectangles)}
        golden["images"].append({**case, "vector": _encode_picture(image, case)})
    for sentence in texts:
        golden["texts"].append({"text": sentence, "vector": _encode_text(text, sentence)})
    (folder / FILE).write_text(json.dumps(golden, ensure_ascii=False), encoding="utf-8")


def _encode_picture(tower: ImageTower | None, case: dict[str, Any]) -> list[float]:
    assert tower is not None
    picture = Image.new("RGB", (case["width"], case["height"]), "white")
    draw = ImageDraw.Draw(picture)
    for left, top, right, bottom, *colour in case["rectangles"]:
        draw.rectangle((left, top, right - 1, bottom - 1), fill=tuple(colour))
    vector: list[float] = tower.encode([tower.recipe.square(picture)])[0].tolist()
    return vector


def _encode_text(tower: TextTower | None, text: str) -> list[float]:
    assert tower is not None
    vector: list[float] = tower.encode([tower.recipe.prepare(text)])[0].tolist()
    return vector
