"""The embedder's settings: EMBEDDER_* in the environment, or flags."""

from typing import Literal

from pydantic import Field, NonNegativeInt, PositiveInt, model_validator
from pydantic_settings import SettingsConfigDict

from service_kit.settings import ServerSettings


class Settings(ServerSettings):
    """Serves CLIP embeddings over gRPC."""

    model_config = SettingsConfigDict(env_prefix="EMBEDDER_")

    listen: str = "127.0.0.1:50051"
    """Address to serve on, as host:port. Port 0 takes a free one."""

    image_model: str = "clip-ViT-B-32"
    """Folder or hub name of the model that encodes images. Its weights name the space."""

    text_model: str = "clip-ViT-B-32-multilingual-v1"
    """Folder or hub name of the model that encodes texts, aligned to the image model. The
    same as the image model for a CLIP with its own text tower."""

    device: str = "auto"
    """Where the models run: "cuda", "cuda:1", "mps", "cpu"; "auto" takes the first there is."""

    dtype: Literal["auto", "float32", "float16", "bfloat16"] = "auto"
    """Arithmetic. "auto": half precision on a GPU where it gives the same vectors (cosine to
    float32 at least 0.999, measured at the start), float32 elsewhere."""

    model_threads: NonNegativeInt = 0
    """Processor cores for one forward pass. 0: every physical core that the process may use.
    Fewer leave more to decoding and to other processes."""

    decode_threads: NonNegativeInt = 0
    """Images decoded at a time, ahead of the model. 0: one a physical core. More take more
    memory: an image of `max_image_pixels` needs about 7 bytes a pixel while it is decoded."""

    max_batch: NonNegativeInt = 0
    """Most inputs in one forward pass. 0: 64 on a GPU, 8 on a processor. Raise it until
    throughput stops growing; beyond that it only makes callers wait for one another."""

    max_queue: PositiveInt = 1024
    """Most inputs of Embed calls waiting, for each of images and texts. Beyond it calls get
    RESOURCE_EXHAUSTED at once. More means longer waits instead of refusals."""

    max_queue_bytes: PositiveInt = 512 * 1024 * 1024
    """Most bytes of waiting images, as files and decoded. Reached before `max_queue` if the
    images are large. More takes more memory."""

    max_inputs: PositiveInt = 256
    """Most inputs in one Embed call."""

    max_image_bytes: PositiveInt = 20 * 1024 * 1024
    """Largest encoded image. `max_message_bytes` bounds it too."""

    max_image_pixels: PositiveInt = 64_000_000
    """Most pixels an image may have; checked on its header. More takes more memory."""

    max_text_bytes: PositiveInt = 8192
    """Longest text, in bytes of UTF-8. The model cuts a text at its own length in any case."""

    hub_timeout_s: float = Field(default=10.0, gt=0)
    """Seconds to wait for an answer of the hub before a downloaded copy is used instead."""

    @model_validator(mode="after")
    def _largest_call_fits(self) -> "Settings":
        if self.max_queue < self.max_inputs:
            raise ValueError("max_queue must not be less than max_inputs: such a call never fits")
        return self
