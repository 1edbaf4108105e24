"""Other versions of a picture: smaller, cropped, recompressed, watermarked and so on."""

import io
import random
from collections.abc import Callable

from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageFont, ImageOps


def scaled(image: Image.Image, factor: float) -> Image.Image:
    """The picture at `factor` of its size."""
    size = (max(1, round(image.width * factor)), max(1, round(image.height * factor)))
    return image.resize(size, Image.Resampling.LANCZOS)


def cropped(image: Image.Image, area: float, x: float = 0.5, y: float = 0.5) -> Image.Image:
    """The part of the picture that keeps `area` of it; x and y, 0 to 1, say which part."""
    side = area**0.5
    width, height = max(1, round(image.width * side)), max(1, round(image.height * side))
    left, top = round((image.width - width) * x), round((image.height - height) * y)
    return image.crop((left, top, left + width, top + height))


def recompressed(image: Image.Image, quality: int) -> Image.Image:
    """The picture after JPEG compression at `quality`, 1 to 95."""
    encoded = io.BytesIO()
    image.save(encoded, "JPEG", quality=quality)
    return Image.open(encoded).convert("RGB")


def watermarked(image: Image.Image, text: str = "SAMPLE", opacity: float = 0.45) -> Image.Image:
    """The picture with half-transparent text across it."""
    layer = Image.new("RGBA", image.size, (0, 0, 0, 0))
    size = max(8, image.width // (len(text) or 1))
    brush = ImageDraw.Draw(layer)
    brush.text(
        (image.width / 2, image.height / 2),
        text,
        fill=(255, 255, 255, round(255 * opacity)),
        stroke_fill=(0, 0, 0, round(255 * opacity)),
        stroke_width=max(1, size // 20),
        font=ImageFont.load_default(size),
        anchor="mm",
    )
    turned = layer.rotate(20, Image.Resampling.BILINEAR)
    return Image.alpha_composite(image.convert("RGBA"), turned).convert("RGB")


def framed(image: Image.Image, share: float = 0.03, colour: str = "white") -> Image.Image:
    """The picture with a border whose width is `share` of the shorter side."""
    return ImageOps.expand(image, max(1, round(min(image.size) * share)), colour)


def brightened(image: Image.Image, factor: float) -> Image.Image:
    """The picture brighter (above 1) or darker (below 1)."""
    return ImageEnhance.Brightness(image).enhance(factor)


def recoloured(image: Image.Image, factor: float) -> Image.Image:
    """The picture with more (above 1) or less (below 1) colour; 0 is grey."""
    return ImageEnhance.Color(image).enhance(factor)


def blurred(image: Image.Image, radius: float) -> Image.Image:
    """The picture out of focus by `radius` pixels."""
    return image.filter(ImageFilter.GaussianBlur(radius))


VERSIONS: dict[str, Callable[[Image.Image], Image.Image]] = {
    "half": lambda image: scaled(image, 0.5),
    "quarter": lambda image: scaled(image, 0.25),
    "crop": lambda image: cropped(image, 0.7),
    "corner": lambda image: cropped(image, 0.6, 0.2, 0.3),
    "jpeg": lambda image: recompressed(image, 20),
    "watermark": watermarked,
    "border": framed,
    "dark": lambda image: brightened(image, 0.75),
}
"""By name, what a test or a sample makes of a picture."""


def random_version(image: Image.Image, rng: random.Random) -> tuple[str, Image.Image]:
    """Makes one of VERSIONS; gives its name too."""
    name = rng.choice(list(VERSIONS))
    return name, VERSIONS[name](image)
