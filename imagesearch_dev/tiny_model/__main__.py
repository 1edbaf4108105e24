"""Makes the tiny model again: draws, trains, measures, and writes it with its cards."""

import argparse
from pathlib import Path

import torch

from embedder_service import golden
from embedder_service.loading import load as load_towers
from embedder_service.settings import Settings
from imagesearch_dev.captions import LANGUAGES, caption
from imagesearch_dev.models import FOLDER
from imagesearch_dev.samples import QUERY, photos
from imagesearch_dev.tiny_model import evaluation, towers, training

IMAGES = "tiny-clip"
TEXTS = "tiny-clip-multilingual"

_CARD = """# {name}

{role} of a CLIP small enough to live in a repository ({size:.1f} MB), for where the real models
cannot be had: for tests, and for a first look. Images and texts share one space of
{dimensions} dimensions; its partner is `{partner}`.

- **What it can do.** It finds other versions of any picture (smaller, cropped, compressed,
  watermarked). By text it finds drawings of simple shapes: their number, colour, form and
  place, and the texture and colour behind them. Languages: {languages}.
- **What it cannot do.** It knows nothing of what photos show. Text finds no photos.
- **Training.** `python -m imagesearch_dev.tiny_model` draws all pictures and writes all
  captions itself; no data of others went into it. Needs an hour or two of two processor cores.
- **Format.** sentence-transformers, as clip-ViT-B-32 and clip-ViT-B-32-multilingual-v1 have
  it. `golden.json` holds vectors that the embedder checks when it loads the model.
- **Licence.** Apache-2.0, like the rest of the repository.

## Scores

{scores}
"""

_PICTURES = (
    (64, 48, ((4, 6, 30, 40, 220, 30, 30),)),
    (200, 200, ((0, 0, 200, 100, 30, 60, 200), (60, 60, 140, 140, 250, 220, 40))),
)


def main() -> None:
    """Trains, unless told only to measure; then writes golden vectors and cards."""
    parser = argparse.ArgumentParser(prog="imagesearch_dev.tiny_model", description=__doc__)
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where the models are kept")
    parser.add_argument(
        "--measure", action="store_true", help="train nothing: only write vectors and cards anew"
    )
    arguments = parser.parse_args()
    images, texts = arguments.folder / IMAGES, arguments.folder / TEXTS
    if not arguments.measure:
        trained = None
        for plan in training.STAGES:
            trained = training.train(plan, trained)
        assert trained is not None
        towers.save(trained.network, trained.text, trained.tokenizer, images, texts)
    _write_golden(images, texts)
    scores = evaluation.report(
        evaluation.load(images), evaluation.load(texts), list(photos().values())
    )
    print(scores)
    roles = ("The image tower", "The text tower")
    for folder, partner, role in zip((images, texts), (TEXTS, IMAGES), roles, strict=True):
        card = _CARD.format(
            name=folder.name,
            role=role,
            partner=partner,
            size=sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) / 1e6,
            dimensions=towers.DIMENSIONS,
            languages=", ".join(LANGUAGES),
            scores=scores,
        )
        (folder / "README.md").write_text(card, encoding="utf-8")


def _write_golden(images: Path, texts: Path) -> None:
    for folder in (images, texts):
        (folder / golden.FILE).unlink(missing_ok=True)
    settings = Settings(
        image_model=str(images), text_model=str(texts), backend="torch", dtype="float32"
    )
    (model,) = load_towers(settings, [torch.device("cpu")])
    golden.record(images, model.images.towers[0], None, pictures=_PICTURES)
    captions = [caption(QUERY, language) for language in LANGUAGES]
    golden.record(texts, None, model.texts.towers[0], texts=captions)


if __name__ == "__main__":
    main()
