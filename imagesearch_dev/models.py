"""Which models `make run` uses: CLIP where it can be had, else the small one in the repository."""

import os
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent / "models"

HUB_TIMEOUT_S = 5


@dataclass(frozen=True)
class Models:
    """A pair of models for one space.

    Attributes:
        key: Short name; data made with different models is kept apart by it.
        image: Hub name or folder of the image model.
        text: Hub name or folder of the text model.
        note: What the user should know about the choice.
    """

    key: str
    image: str
    text: str
    note: str


TINY = Models(
    key="tiny",
    image=str(FOLDER / "tiny-clip"),
    text=str(FOLDER / "tiny-clip-multilingual"),
    note="The tiny model from the repository: it finds other versions of any picture, and by "
    "text it finds drawings like the samples (shapes, colours, counts, positions) in the "
    "languages of its model card. It knows nothing of what photos show.",
)
CLIP = Models(
    key="clip",
    image="clip-ViT-B-32",
    text="clip-ViT-B-32-multilingual-v1",
    note="clip-ViT-B-32 for images, clip-ViT-B-32-multilingual-v1 for text in 50+ languages.",
)


def choose(wish: str) -> Models:
    """Chooses the models.

    Args:
        wish: "auto" (CLIP if it is here or a hub has it, else tiny), "clip", "tiny", or
            IMAGE_MODEL,TEXT_MODEL as hub names or folders.

    Raises:
        ValueError: The wish is none of these.
    """
    if wish == "tiny":
        return TINY
    if wish == "clip":
        return CLIP
    if wish == "auto":
        return CLIP if all(map(_at_hand, (CLIP.image, CLIP.text))) else TINY
    image, comma, text = wish.partition(",")
    if not comma or not image or not text:
        raise ValueError(f"MODEL is auto, clip, tiny, or IMAGE_MODEL,TEXT_MODEL; not {wish!r}")
    return Models(Path(image).name, image, text, f"{image} for images, {text} for text.")


def _at_hand(name: str) -> bool:
    """Whether the hub's model is in the local cache, or the hub answers for it."""
    from huggingface_hub import HfApi, snapshot_download

    repository = f"sentence-transformers/{name}"
    try:
        snapshot_download(repository, local_files_only=True)
        return True
    except Exception:  # not in the cache, however that is said
        if os.environ.get("HF_HUB_OFFLINE"):
            return False
    try:
        HfApi().model_info(repository, timeout=HUB_TIMEOUT_S)
        return True
    except Exception:  # no network, no hub, no such model: all the same to us
        return False


def download(models: Models) -> None:
    """Fetches hub models into the local cache, with a progress bar, before a service needs them."""
    from huggingface_hub import snapshot_download

    for name in (models.image, models.text):
        if not Path(name).is_dir():
            repository = name if "/" in name else f"sentence-transformers/{name}"
            wanted = ["*.json", "*.txt", "*.safetensors", "*.model"]
            snapshot_download(repository, allow_patterns=wanted)
