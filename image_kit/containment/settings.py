"""The settings of services that decode images of strangers."""

from pydantic import NonNegativeInt, PositiveFloat

from image_kit.containment.bounds import Bounds
from service_kit.settings import ProcessSettings


class DecodingSettings(ProcessSettings):
    """How images are decoded."""

    decode_processes: NonNegativeInt | None = None
    """Processes that decode images, apart from the service: a file that breaks a decoder costs
    only itself. Each takes some 40 MB, after large images up to 100. Not set: as many as images
    are decoded at a time. 0: images are decoded in threads of the service, for development and
    very small machines."""

    decode_timeout_s: PositiveFloat = 10.0
    """Longest that the decoding of one image may take; beyond it the image is refused."""

    decode_memory_bytes: NonNegativeInt = 0
    """Most memory that the decoding of one image may take; beyond it the image is refused. 0: 16
    bytes a pixel of `max_image_pixels`, and 192 MiB."""

    def processes(self, threads: int) -> int:
        """How many processes are wanted for so many images at a time."""
        return threads if self.decode_processes is None else self.decode_processes

    def bounds(self, max_pixels: int) -> Bounds:
        """Bounds on an image of so many pixels."""
        return Bounds.of(self.decode_timeout_s, self.decode_memory_bytes, max_pixels)
