"""Full-size models with random weights: the arithmetic, and so the speed, is that of real ones."""

from pathlib import Path

import torch
from transformers import CLIPConfig, CLIPModel, DistilBertConfig

from imagesearch_dev.tiny_model import towers

FOLDER = Path(".imagesearch") / "benchmarks" / "models"

IMAGES = "random-clip-ViT-B-32"
TEXTS = "random-clip-ViT-B-32-multilingual"

WORDS = "a photo of the cat dog house tree red green blue two three on in with by sea at night"


def ensure(folder: Path = FOLDER) -> tuple[Path, Path]:
    """Makes the models if they are not there yet.

    Sizes are those of clip-ViT-B-32 (ViT-B/32, 512 dimensions) and of
    clip-ViT-B-32-multilingual-v1 (DistilBERT: 6 layers of 768, at most 128 tokens).

    Returns:
        Folders of the image model and of the text model.
    """
    images, texts = folder / IMAGES, folder / TEXTS
    if not (texts / "modules.json").exists():
        torch.manual_seed(0)
        network = CLIPModel(CLIPConfig(projection_dim=towers.DIMENSIONS))
        tokenizer = towers.train_tokenizer([WORDS])
        tokenizer.model_max_length = 128
        text = towers.TextTower(DistilBertConfig(vocab_size=len(tokenizer)))
        towers.save(network, text.eval(), tokenizer, images, texts)
    return images, texts
