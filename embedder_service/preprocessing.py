"""Pictures to the pixels that a vision tower reads, by the model's own recipe.

Runs in the decoding threads; nothing but the square of bytes that is left travels on to the
model, which rescales and normalises them itself.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from image_kit.decoding import ImageLimits, decode

# A JPEG is decoded at 1/2, 1/4 or 1/8 of its size only while its shorter side keeps three times
# what the model reads. Measured on photos and textures: cosine to the full decode above 0.999;
# at twice it falls to 0.9988.
_DECODE_AT_LEAST = 3

# PyTorch resizes bytes twice as fast as Pillow, to within 2 of 255 of the same values. It must
# resize all of a picture before the middle is cut out, so very long ones are left to Pillow.
_IN_TORCH = {Image.Resampling.BICUBIC: "bicubic", Image.Resampling.BILINEAR: "bilinear"}
_LONGEST_IN_TORCH = 3


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

    def prepare(self, data: bytes, limits: ImageLimits) -> NDArray[np.uint8]:
        """Decodes a file and cuts out what the model sees.

        Returns:
            (side, side, 3), RGB.

        Raises:
            ImageError: The file cannot be used.
        """
        at_least = _DECODE_AT_LEAST * self.shortest_edge
        return self.square(decode(data, limits, at_least).picture)

    def square(self, picture: Image.Image) -> NDArray[np.uint8]:
        """Resizes the shorter side and cuts the middle.

        Returns:
            (side, side, 3), RGB.
        """
        # What no JPEG decoder has made smaller: averaging whole blocks first is as exact.
        if (factor := min(picture.size) // (_DECODE_AT_LEAST * self.shortest_edge)) > 1:
            picture = picture.reduce(factor)
        width, height = picture.size
        longer = int(self.shortest_edge * max(width, height) / min(width, height))
        wide, high = (
            (longer, self.shortest_edge) if width > height else (self.shortest_edge, longer)
        )
        left, top = (wide - self.side) // 2, (high - self.side) // 2
        method = _IN_TORCH.get(self.resample)
        if method and longer <= _LONGEST_IN_TORCH * self.shortest_edge:
            resized = _resized(np.array(picture), (high, wide), method)
            return resized[top : top + self.side, left : left + self.side]
        # Resizing only the part that is kept gives the same pixels, and keeps a picture of
        # 30,000 x 1 from becoming gigabytes.
        across, down = width / wide, height / high
        box = (left * across, top * down, (left + self.side) * across, (top + self.side) * down)
        return np.asarray(picture.resize((self.side, self.side), self.resample, box=box))


def _resized(pixels: NDArray[np.uint8], size: tuple[int, int], method: str) -> NDArray[np.uint8]:
    """Resizes (H, W, 3) to `size`, height first."""
    planes = torch.from_numpy(pixels).permute(2, 0, 1)[None]  # (1, 3, H, W), a view
    with torch.inference_mode():
        resized = torch.nn.functional.interpolate(planes, size, mode=method, antialias=True)
    result: NDArray[np.uint8] = resized[0].permute(1, 2, 0).numpy()
    return result
