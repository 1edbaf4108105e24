"""Loads the models: where, in which arithmetic, and proof that they work."""

import logging
import warnings
from collections.abc import Sequence

import numpy as np
import structlog
import torch
from sentence_transformers import SentenceTransformer
from transformers.utils import logging as transformers_logging

from embedder_service import golden, pinning, spaces
from embedder_service.arithmetic import Arithmetic, Builder, Choice, batch_size, choose
from embedder_service.model import ClipModel, Lane, ModelInfo
from embedder_service.model_files import ModelFiles, find
from embedder_service.preprocessing import ImageRecipe
from embedder_service.settings import Settings
from embedder_service.tokens import Padding, TextRecipe
from service_kit.cores import physical_cores
from service_kit.server import StartError

log = structlog.get_logger()


def load(settings: Settings, devices: Sequence[torch.device]) -> list[ClipModel]:
    """Loads all models, warms them up and checks what they give.

    Raises:
        StartError: A model is not there, is not of this kind, does not give what it should, or
            there is no room for it.
    """
    torch.set_num_threads(settings.model_threads or physical_cores())
    pairs = [
        (find(image, settings.hub_timeout_s), find(text, settings.hub_timeout_s))
        for image, text in settings.pairs()
    ]
    folders = {files.folder: files for pair in pairs for files in pair}
    names = [files.name for files in folders.values()]
    if twice := {name for name in names if names.count(name) > 1}:
        raise StartError(f"two different models have the name {min(twice)!r}; rename one")
    pinning.check(folders.values(), settings.digests())
    _check_room(list(folders.values()), len(devices), settings.max_model_bytes)
    models = [_pair(image, text, settings, devices) for image, text in pairs]
    for info in (info for model in models for info in model.infos):
        log.info(
            "model_loaded",
            **{key: getattr(info, key) for key in ("name", "device", "backend", "dtype")},
            max_batch=info.max_batch,
        )
    return models


def _check_room(models: Sequence[ModelFiles], devices: int, most: int) -> None:
    """Compares the weights, as they are stored, with what is allowed."""
    size = devices * sum(path.stat().st_size for files in models for path in files.weights)
    if most and size > most:
        raise StartError(
            f"the weights of {', '.join(files.name for files in models)} take {size} bytes on "
            f"{devices} device(s); EMBEDDER_MAX_MODEL_BYTES allows {most}"
        )


def _pair(
    image_files: ModelFiles,
    text_files: ModelFiles,
    settings: Settings,
    devices: Sequence[torch.device],
) -> ClipModel:
    if image_files.folder == text_files.folder:
        both = _Loaded(image_files, ("image", "text"), settings, devices)
        loaded = [both]
    else:
        loaded = [
            _Loaded(image_files, ("image",), settings, devices),
            _Loaded(text_files, ("text",), settings, devices),
        ]
    space = spaces.space(image_files.name, spaces.revision(image_files.weights))
    infos = tuple(model.info(space) for model in loaded)
    if infos[0].dimensions != infos[-1].dimensions:
        raise StartError(
            f"{infos[0].name} gives {infos[0].dimensions} dimensions and {infos[-1].name} "
            f"{infos[-1].dimensions}: the two do not share a space"
        )
    images = tuple(towers.images for towers in loaded[0].towers if towers.images)
    texts = tuple(towers.texts for towers in loaded[-1].towers if towers.texts)
    return ClipModel(
        Lane(infos[0].name, images, loaded[0].max_batch["image"]),
        Lane(infos[-1].name, texts, loaded[-1].max_batch["text"]),
        infos,
    )


def builder_of(
    files: ModelFiles, takes: tuple[str, ...], device: torch.device, threads: int
) -> Builder:
    """Loads a model in float32.

    Args:
        files: The model.
        takes: What is wanted of it: "image", "text", or both.
        device: Where its weights are put.
        threads: Processor cores for one pass.

    Raises:
        StartError: It cannot be loaded, or is not of a known kind.
    """
    network = _network(files, takes, device)
    try:
        images = _image_recipe(network) if "image" in takes else None
        texts = _text_recipe(network) if "text" in takes else None
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise StartError(f"the model in {files.folder} is not of a known kind: {error}") from error
    return Builder(network, images, texts, threads)


class _Loaded:
    """One folder's model on all devices, in the arithmetic chosen for the first.

    Attributes:
        towers: One entry a device.
        max_batch: By what it takes.

    Raises:
        StartError: It cannot be used.
    """

    def __init__(
        self,
        files: ModelFiles,
        takes: tuple[str, ...],
        settings: Settings,
        devices: Sequence[torch.device],
    ) -> None:
        self._files = files
        self._takes = takes
        self._devices = devices
        threads = settings.model_threads or physical_cores()
        builder = builder_of(files, takes, devices[0], threads)
        try:
            self._choice = self._chosen(builder, settings)
            others = [builder.build(self._choice.arithmetic, d) for d in devices[1:]]
            self.towers = [self._choice.towers, *others]
            for towers in others:
                towers.probe_vectors()
            self.max_batch = self._batch_sizes(settings.max_batch)
        except Exception as error:
            if isinstance(error, StartError):
                raise
            raise StartError(f"the model in {files.folder} does not work: {error}") from error

    def _chosen(self, builder: Builder, settings: Settings) -> Choice:
        """Checks the model in float32, then chooses the arithmetic."""
        towers = builder.build(Arithmetic("torch", "float32"), self._devices[0])
        exact = towers.probe_vectors()
        if np.allclose(exact, exact[0], atol=1e-6):
            raise StartError(
                f"the model in {self._files.folder} gives the same vector for every input"
            )
        golden.check(self._files.folder, towers.images, towers.texts)
        self._dimensions = exact.shape[1]
        self._logit_scale = builder.logit_scale
        self._max_text_tokens = towers.texts.recipe.max_tokens if towers.texts else 0
        try:
            return choose(builder, exact, self._devices[0], settings.backend, settings.dtype)
        except StartError as error:
            raise StartError(f"the model in {self._files.folder}: {error}") from error

    def _batch_sizes(self, wanted: int) -> dict[str, int]:
        sizes: dict[str, int] = {}
        for kind, (tower, inputs) in zip(self._takes, self._choice.towers.probes(), strict=True):
            sizes[kind] = wanted or batch_size(tower, inputs[0], self._devices[0])
            for towers in self.towers:  # warm at what they will be given
                other = towers.images if kind == "image" else towers.texts
                assert other is not None
                other.encode([inputs[0]] * sizes[kind])
        return sizes

    def info(self, space: str) -> ModelInfo:
        return ModelInfo(
            name=self._files.name,
            revision=spaces.revision(self._files.weights),
            takes=self._takes,
            dimensions=self._dimensions,
            space=space,
            max_text_tokens=self._max_text_tokens,
            device=",".join(map(str, self._devices)),
            backend=self._choice.arithmetic.backend,
            dtype=self._choice.arithmetic.dtype,
            cosine=min(self._choice.cosine, 1.0),
            max_batch=max(self.max_batch.values()),
            logit_scale=self._logit_scale,
        )


def _network(
    files: ModelFiles, takes: tuple[str, ...], device: torch.device
) -> SentenceTransformer:
    """Loads a model in float32."""
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
    return network


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
    padding = Padding(int(tokenizer.pad_token_id or 0), tokenizer.padding_side == "left", most)
    definition = tokenizer.backend_tokenizer.to_str()
    return TextRecipe(definition, most, tokenizer.truncation_side, padding)


logging.getLogger("sentence_transformers").setLevel(logging.ERROR)
