"""Pictures to the pixels that a vision tower reads, by the model's own recipe.

Files are decoded and made smaller by `shrinking`, in processes of their own; the rest is done
here, in threads. Nothing but the square of bytes that is left travels on to the model, which
rescales and normalises them itself.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from embedder_service.shrinking import IN_TORCH, resized_to, shrink, shrunk
from image_kit.containment.decoders import Decoders, InThisProcess
from image_kit.decoding import ImageLimits

_HERE = InThisProcess()


@dataclass(frozen=True)
class ImageRecipe:
    """How a model wants its pixels.

    Attributes:
        shortest_edge: Length in pixels that the shorter side is resized to.
        side: Side in pixels of the square cut from the middle.
        resample: Pillow's filter.
        scale: Factor from 0..255 to what `mean` and `std` are about.
        mean: One value a channel.
        std: One value a channel.
    """

    shortest_edge: int
    side: int
    resample: Image.Resampling
    scale: float
    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    @classmethod
    def of(cls, processor: Mapping[str, Any]) -> "ImageRecipe":
        """Reads an image processor's configuration.

        Raises:
            ValueError: It does something else than resize, cut the middle, rescale, normalise.
        """
        needed = ("do_resize", "do_center_crop", "do_rescale", "do_normalize")
        if missing := [step for step in needed if not processor.get(step)]:
            raise ValueError(f"the image processor has {missing[0]} off")
        if processor.get("do_pad"):
            raise ValueError("the image processor pads")
        edge, crop = processor["size"].get("shortest_edge"), processor["crop_size"]
        if not edge or processor["size"].get("longest_edge"):
            raise ValueError(f"the image processor resizes to {processor['size']}")
        if crop["height"] != crop["width"] or crop["width"] > edge:
            raise ValueError(f"the image processor cuts out {crop}")
        mean, std = processor["image_mean"], processor["image_std"]
        return cls(
            shortest_edge=int(edge),
            side=int(crop["width"]),
            resample=Image.Resampling(processor["resample"]),
            scale=float(processor["rescale_factor"]),
            mean=(float(mean[0]), float(mean[1]), float(mean[2])),
            std=(float(std[0]), float(std[1]), float(std[2])),
        )

    @property
    def nbytes(self) -> int:
        """Bytes of one prepared picture."""
        return self.side * self.side * 3

    def prepare(
        self, data: bytes, limits: ImageLimits, decoders: Decoders = _HERE
    ) -> NDArray[np.uint8]:
        """Decodes a file and cuts out what the model sees.

        Returns:
            (side, side, 3), RGB.

        Raises:
            ImageError: The file cannot be used.
            UnavailableError: There is no decoder.
        """
        answer = decoders.run(
            shrink,
            data,
            limits,
            shortest_edge=self.shortest_edge,
            side=self.side,
            resample=int(self.resample),
        )
        width, height = answer.facts["size"]
        pixels = np.frombuffer(answer.parts[0], np.uint8).reshape(height, width, 3)
        return self._cut(pixels, bool(answer.facts["square"]))

    def square(self, picture: Image.Image) -> NDArray[np.uint8]:
        """Resizes the shorter side of a decoded picture and cuts the middle.

        Returns:
            (side, side, 3), RGB.
        """
        smaller, is_square = shrunk(picture, self.shortest_edge, self.side, self.resample)
        return self._cut(np.asarray(smaller), is_square)

    def _cut(self, pixels: NDArray[np.uint8], is_square: bool) -> NDArray[np.uint8]:
        if is_square:
            return pixels.reshape(self.side, self.side, 3)
        height, width, _ = pixels.shape
        wide, high = resized_to((width, height), self.shortest_edge)
        left, top = (wide - self.side) // 2, (high - self.side) // 2
        resized = _resized(pixels, (high, wide), IN_TORCH[self.resample])
        return resized[top : top + self.side, left : left + self.side]


def _resized(pixels: NDArray[np.uint8], size: tuple[int, int], method: str) -> NDArray[np.uint8]:
    """Resizes (H, W, 3) to `size`, height first."""
    writable = pixels if pixels.flags.writeable else pixels.copy()  # PyTorch warns of others
    planes = torch.from_numpy(writable).permute(2, 0, 1)[None]  # (1, 3, H, W), a view
    with torch.inference_mode():
        resized = torch.nn.functional.interpolate(planes, size, mode=method, antialias=True)
    result: NDArray[np.uint8] = resized[0].permute(1, 2, 0).numpy()
    return result
