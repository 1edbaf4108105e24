"""The embedder's settings: EMBEDDER_* in the environment, or flags."""

import re
from collections.abc import Iterator
from typing import Literal

from pydantic import Field, NonNegativeInt, PositiveInt, field_validator, model_validator
from pydantic_settings import SettingsConfigDict

from image_kit.containment.settings import DecodingSettings
from service_kit.settings import ServerSettings

Backend = Literal["auto", "torch", "openvino"]
Dtype = Literal["auto", "float32", "float16", "bfloat16", "int8"]


class Settings(ServerSettings, DecodingSettings):
    """Serves CLIP embeddings over gRPC."""

    model_config = SettingsConfigDict(env_prefix="EMBEDDER_")

    listen: str = "127.0.0.1:50051"
    """Address to serve on, as host:port. Port 0 takes a free one."""

    metrics_listen: str = ""
    """Address to serve Prometheus metrics on, as host:port. Empty: they are not served."""

    image_model: str = "clip-ViT-B-32"
    """Folder or hub name of the model that encodes images. Its weights name the space."""

    text_model: str = "clip-ViT-B-32-multilingual-v1"
    """Folder or hub name of the model that encodes texts, aligned to the image model. The
    same as the image model for a CLIP with its own text tower."""

    more_models: str = ""
    """More models to serve by name, with commas between them: each an image model, or
    "image-model+text-model" where another one takes its texts. Requests name them in `model`."""

    model_sha256: str = ""
    """SHA-256 of every model's weights, as NAME=DIGEST with commas between them; NAME is the
    model's last part, or its folder's name. Other weights, and models that are not named, refuse
    the start. Of several weight files, in the order of modules.json, the digest is of all in a
    row. Empty: any weights are taken."""

    max_model_bytes: NonNegativeInt = 0
    """Most bytes of weights, as stored, that all models on all devices may take; beyond it the
    service does not start. 0: no bound."""

    device: str = "auto"
    """Where the models run: "cuda" (every GPU), "cuda:0,cuda:2", "mps", "cpu"; "auto" takes the
    first kind there is. All devices work on one queue."""

    backend: Backend = "auto"
    """What computes: "torch", or "openvino" on processors. "auto": OpenVINO on a processor
    where it is installed and can convert the model."""

    dtype: Dtype = "auto"
    """Arithmetic. "auto": the fastest, measured at the start, that gives the same vectors
    (cosine to float32 at least 0.999). "int8" on processors with the backend torch; GetModel
    says what it costs in cosine."""

    model_threads: NonNegativeInt = 0
    """Processor cores for one forward pass. 0: every physical core that the process may use.
    Fewer leave more to decoding and to other processes."""

    decode_threads: NonNegativeInt = 0
    """Images decoded at a time, ahead of the model. 0: one a physical core. More take more
    memory: an image of `max_image_pixels` needs about 7 bytes a pixel while it is decoded."""

    max_batch: NonNegativeInt = 0
    """Most inputs in one forward pass. 0: measured at the start: where throughput stops
    growing. Beyond that a larger one only makes callers wait for one another."""

    cache_bytes: NonNegativeInt = 64 * 1024 * 1024
    """Memory for vectors of inputs that were embedded before, found by the digest of their
    content: about 25,000 in 64 MiB. 0: none are kept."""

    max_queue: PositiveInt = 512
    """Most inputs of Embed calls waiting, for each of images and texts. Beyond it calls get
    RESOURCE_EXHAUSTED at once. More means longer waits instead of refusals. Keep it below
    `max_concurrent_streams`, or one connection's calls are refused by the transport first."""

    max_queue_bytes: PositiveInt = 512 * 1024 * 1024
    """Most bytes of waiting images, as files and decoded. Reached before `max_queue` if the
    images are large. More takes more memory."""

    max_inputs: PositiveInt = 256
    """Most inputs in one Embed call."""

    max_image_bytes: PositiveInt = 20 * 1024 * 1024
    """Largest encoded image. `max_message_bytes` bounds it too."""

    max_image_pixels: PositiveInt = 64_000_000
    """Most pixels an image may have; checked on its header. More takes more memory."""

    max_request_pixels: PositiveInt = 2_000_000_000
    """Most pixels of the images in the requests of calls being answered that are no streams: small
    files may have many. Read from the headers, before anything is decoded. Beyond it calls get
    RESOURCE_EXHAUSTED at once; one request with more is taken alone."""

    max_text_bytes: PositiveInt = 8192
    """Longest text, in bytes of UTF-8. The model cuts a text at its own length in any case."""

    hub_timeout_s: float = Field(default=10.0, gt=0)
    """Seconds to wait for an answer of the hub before a downloaded copy is used instead."""

    @model_validator(mode="after")
    def _largest_call_fits(self) -> "Settings":
        if self.max_queue < self.max_inputs:
            raise ValueError("max_queue must not be less than max_inputs: such a call never fits")
        return self

    @field_validator("model_sha256")
    @classmethod
    def _digests_are_readable(cls, value: str) -> str:
        _digests(value)
        return value

    def pairs(self) -> Iterator[tuple[str, str]]:
        """Gives each image model with its text model, the default ones first."""
        yield self.image_model, self.text_model
        for entry in filter(None, map(str.strip, self.more_models.split(","))):
            image, _, text = entry.partition("+")
            yield image, text or image

    def digests(self) -> dict[str, str]:
        """The SHA-256 that each model's weights must have, by its name; empty: any may."""
        return _digests(self.model_sha256)


_DIGEST = re.compile(r"[0-9a-f]{64}")


def _digests(setting: str) -> dict[str, str]:
    digests = {}
    for entry in filter(None, map(str.strip, setting.split(","))):
        name, _, digest = entry.rpartition("=")
        digest = digest.strip().lower().removeprefix("sha256:")
        if not name.strip() or not _DIGEST.fullmatch(digest):
            raise ValueError(f"{entry!r} is not NAME=SHA256, with 64 hex digits")
        digests[name.strip()] = digest
    return digests
