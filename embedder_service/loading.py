"""Loads the models: where, in which arithmetic, and proof that they work."""

import copy
import logging
import warnings
from dataclasses import dataclass

import numpy as np
import structlog
import torch
from numpy.typing import NDArray
from sentence_transformers import SentenceTransformer
from transformers.utils import logging as transformers_logging

from embedder_service import golden, spaces
from embedder_service.model import (
    PROBE_TEXTS,
    ClipModel,
    ImageTower,
    ModelInfo,
    TextTower,
    probe_pictures,
)
from embedder_service.model_files import ModelFiles, find
from embedder_service.preprocessing import ImageRecipe
from embedder_service.settings import Settings
from embedder_service.tokens import TextRecipe
from service_kit.cores import physical_cores
from service_kit.server import StartError

log = structlog.get_logger()

# Least cosine between a vector in half precision and the same one in float32.
_SAME = 0.999


@dataclass(frozen=True)
class _Loaded:
    """One folder's model, with the towers that are used of it."""

    files: ModelFiles
    network: SentenceTransformer
    image: ImageTower | None
    text: TextTower | None

    @property
    def probes(self) -> NDArray[np.float32]:
        """Vectors of the fixed inputs, of all its towers."""
        parts: list[NDArray[np.float32]] = []
        if self.image:
            squares = [self.image.recipe.square(picture) for picture in probe_pictures()]
            parts.append(self.image.encode(squares))
        if self.text:
            recipe = self.text.recipe
            parts.append(self.text.encode([recipe.prepare(text) for text in PROBE_TEXTS]))
        return np.concatenate(parts)


def load(settings: Settings) -> ClipModel:
    """Loads both towers, warms them up and checks what they give.

    Raises:
        StartError: A model is not there, is not of this kind, or does not give what it should.
    """
    torch.set_num_threads(settings.model_threads or physical_cores())
    device = _device(settings.device)
    image_files = find(settings.image_model, settings.hub_timeout_s)
    text_files = find(settings.text_model, settings.hub_timeout_s)
    if image_files.folder == text_files.folder:
        loaded = [_ready(image_files, ("image", "text"), device, settings.dtype)]
    elif image_files.name == text_files.name:
        raise StartError(f"two different models have the name {image_files.name!r}; rename one")
    else:
        loaded = [
            _ready(image_files, ("image",), device, settings.dtype),
            _ready(text_files, ("text",), device, settings.dtype),
        ]
    images, texts = loaded[0].image, loaded[-1].text
    assert images is not None
    assert texts is not None
    space = spaces.space(image_files.name, spaces.revision(image_files.weights))
    infos = tuple(_info(model, space) for model in loaded)
    if infos[0].dimensions != infos[-1].dimensions:
        raise StartError(
            f"{infos[0].name} gives {infos[0].dimensions} dimensions and {infos[-1].name} "
            f"{infos[-1].dimensions}: the two do not share a space"
        )
    for info in infos:
        log.info("model_loaded", name=info.name, device=info.device, dtype=info.dtype)
    return ClipModel(images, texts, infos, on_gpu=device.type != "cpu")


def _device(wanted: str) -> torch.device:
    if wanted == "auto":
        if torch.cuda.is_available():
            wanted = "cuda:0"
        else:
            wanted = "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        device = torch.device(wanted)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise StartError(f"the device {wanted!r} cannot be used: {error}") from error
    return device


def _ready(files: ModelFiles, takes: tuple[str, ...], device: torch.device, dtype: str) -> _Loaded:
    """Loads one model, chooses its arithmetic and checks its vectors."""
    model = _load(files, takes, device)
    try:
        model = _in_dtype(model, takes, dtype)
        vectors = model.probes
    except Exception as error:
        raise StartError(f"the model in {files.folder} does not work: {error}") from error
    if np.allclose(vectors, vectors[0], atol=1e-6):
        raise StartError(f"the model in {files.folder} gives the same vector for every input")
    golden.check(files.folder, model.image, model.text)
    return model


def _load(files: ModelFiles, takes: tuple[str, ...], device: torch.device) -> _Loaded:
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            network = SentenceTransformer(
                str(files.folder),
                device=str(device),
                trust_remote_code=False,
                local_files_only=True,
                model_kwargs={"use_safetensors": True, "dtype": torch.float32},
            )
    except Exception as error:
        raise StartError(f"the model in {files.folder} cannot be loaded: {error}") from error
    network.eval().float()
    for kind in takes:
        if kind not in network.modalities:
            raise StartError(f"the model in {files.folder} does not take {kind}s")
    return _with_towers(files, network, takes)


def _with_towers(
    files: ModelFiles, network: SentenceTransformer, takes: tuple[str, ...]
) -> _Loaded:
    try:
        image = ImageTower(network, _image_recipe(network)) if "image" in takes else None
        text = TextTower(network, _text_recipe(network)) if "text" in takes else None
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise StartError(f"the model in {files.folder} is not of a known kind: {error}") from error
    return _Loaded(files, network, image, text)


def _image_recipe(network: SentenceTransformer) -> ImageRecipe:
    return ImageRecipe.of(network.processor.image_processor.to_dict())


def _text_recipe(network: SentenceTransformer) -> TextRecipe:
    if network.default_prompt_name:
        raise ValueError("it puts a prompt in front of every text")
    if network.config is None:
        raise ValueError("its first module is no transformer")
    tokenizer = network.tokenizer
    positions = network.config.get_text_config().max_position_embeddings
    most = min(int(network.max_seq_length or positions), int(positions))
    return TextRecipe(tokenizer.backend_tokenizer.to_str(), most, tokenizer.truncation_side)


def _in_dtype(model: _Loaded, takes: tuple[str, ...], wanted: str) -> _Loaded:
    """Gives the model in the wanted arithmetic; for "auto" the fastest that is exact enough."""
    if wanted == "float32" or (wanted == "auto" and model.network.device.type != "cuda"):
        return model
    exact = model.probes
    # float16 before bfloat16: as fast, and three more bits of mantissa.
    for name in ("float16", "bfloat16") if wanted == "auto" else (wanted,):
        network = copy.deepcopy(model.network).to(getattr(torch, name))
        half = _with_towers(model.files, network, takes)
        try:
            cosine = float((exact * half.probes).sum(axis=1).min())
        except ArithmeticError:  # float16 overflowed
            cosine = 0.0
        log.info("dtype_measured", model=model.files.name, dtype=name, cosine=round(cosine, 6))
        if cosine >= _SAME:
            return half
        if wanted != "auto":
            raise ArithmeticError(f"in {name} its vectors have a cosine of {cosine:.4f} to float32")
    return model


def _info(model: _Loaded, space: str) -> ModelInfo:
    scale = getattr(model.network.transformers_model, "logit_scale", None)
    return ModelInfo(
        name=model.files.name,
        revision=spaces.revision(model.files.weights),
        takes=tuple(
            kind for kind, tower in (("image", model.image), ("text", model.text)) if tower
        ),
        dimensions=model.probes.shape[1],
        space=space,
        max_text_tokens=model.text.recipe.max_tokens if model.text else 0,
        device=str(model.network.device),
        dtype=str(model.network.dtype).removeprefix("torch."),
        # CLIP stores the logarithm.
        logit_scale=float(scale.detach().float().exp()) if scale is not None else 0.0,
    )


logging.getLogger("sentence_transformers").setLevel(logging.ERROR)
