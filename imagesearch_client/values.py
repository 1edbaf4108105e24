"""Python values to what the contract has: images, regions, terms, labels, uploads."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from os import PathLike
from pathlib import Path
from typing import Any

from imagesearch.common.v1 import types_pb2 as types
from imagesearch.gateway.v1 import classification_pb2 as classification_pb
from imagesearch.gateway.v1 import image_search_service_pb2 as pb
from imagesearch.gateway.v1 import queries_pb2 as queries_pb

from imagesearch_client.filters import timestamp

ImageInput = bytes | PathLike[str]
"""An encoded image (JPEG, PNG, …), or the file it is in."""

MAX_IMAGE_BYTES = 20 * 1024 * 1024
"""Largest image that servers take."""


def image_bytes(image: ImageInput) -> bytes:
    """Reads an image.

    Raises:
        OSError: The file cannot be read.
        ValueError: It is larger than any server takes.
    """
    if isinstance(image, bytes):
        data = image
    else:
        path = Path(image)
        if (size := path.stat().st_size) > MAX_IMAGE_BYTES:
            raise ValueError(f"{path} has {size} bytes; at most {MAX_IMAGE_BYTES} are allowed")
        data = path.read_bytes()
    return data


def one_source(
    image: ImageInput | None, url: str | None, image_id: str | None, **more: Any
) -> dict[str, Any]:
    """The one source that is given, as a field of the request.

    Raises:
        TypeError: None is given, or several.
    """
    sources = {"image": image, "url": url, "image_id": image_id, **more}
    given = {name: value for name, value in sources.items() if value is not None}
    if len(given) != 1:
        what = " and ".join(given) or "none"
        raise TypeError(f"give exactly one of {', '.join(sources)}; {what} is given")
    if image is not None:
        given["image"] = image_bytes(image)
    return given


def box(left: float, top: float, right: float, bottom: float) -> queries_pb.Region:
    """A part of an image, in fractions of its width and height, from the upper left corner."""
    shape = queries_pb.Box(left=left, top=top, right=right, bottom=bottom)
    return queries_pb.Region(box=shape)


def pixel_box(left: int, top: int, width: int, height: int) -> queries_pb.Region:
    """A part of an image, in pixels of the upright image."""
    shape = queries_pb.PixelBox(left=left, top=top, width=width, height=height)
    return queries_pb.Region(pixels=shape)


def term(
    text: str | None = None,
    *,
    image: ImageInput | None = None,
    url: str | None = None,
    image_id: str | None = None,
    vector: types.Vector | None = None,
    region: queries_pb.Region | None = None,
    weight: float = 1.0,
) -> queries_pb.QueryTerm:
    """One thing that results should be like; with a negative weight, unlike.

    Exactly one of `text`, `image`, `url`, `image_id` and `vector`.
    """
    source = one_source(image, url, image_id, text=text, vector=vector)
    return queries_pb.QueryTerm(**source, region=region, weight=weight)


LabelsInput = classification_pb.Labels | Iterable[str] | Mapping[str, Sequence[str]]
"""Names; or names with the texts that describe each, in any language; or the message."""


def label_choice(
    labels: LabelsInput | None, label_set: str | None, *, required: bool = True
) -> dict[str, Any]:
    """The one choice that is given, as a field of the request.

    Raises:
        TypeError: None is given, or both.
    """
    if (labels is None) == (label_set is None) and (required or labels is not None):
        raise TypeError("give either labels or label_set")
    if labels is not None:
        return {"labels": _labels(labels)}
    return {} if label_set is None else {"label_set": label_set}


def _labels(labels: LabelsInput) -> classification_pb.Labels:
    if isinstance(labels, classification_pb.Labels):
        return labels
    if isinstance(labels, str):
        raise TypeError("labels is a list of names, not one name")
    described = labels if isinstance(labels, Mapping) else dict.fromkeys(labels, ())
    return classification_pb.Labels(
        labels=[
            classification_pb.Label(name=name, texts=texts) for name, texts in described.items()
        ]
    )


def upload(
    image: ImageInput,
    *,
    image_name: str = "",
    relative_path: str = "",
    url: str = "",
    page_url: str = "",
    caption: str = "",
    tags: Iterable[str] = (),
    attributes: Mapping[str, str] | None = None,
    captured_at: datetime | None = None,
) -> pb.ImageUpload:
    """An image to store, and what is known of it.

    Args:
        image: Its bytes or its file. A file gives its name too, where none is given.
        image_name: File name.
        relative_path: Path below the folder that is being indexed, with forward slashes.
        url: Address it was fetched from.
        page_url: Address of the page it was on.
        caption: Description in any language.
        tags: Free labels, at most 100.
        attributes: Free key-value pairs, at most 100.
        captured_at: When the picture was taken, with a time zone. None: as EXIF says.
    """
    if not (image_name or relative_path or url or isinstance(image, bytes)):
        image_name = Path(image).name
    return pb.ImageUpload(
        content=image_bytes(image),
        image_name=image_name,
        relative_path=relative_path,
        url=url,
        page_url=page_url,
        caption=caption,
        tags=tags,
        attributes=attributes,
        captured_at=None if captured_at is None else timestamp(captured_at),
    )
