"""Where a request holds encoded images, as its contract says."""

from collections.abc import Callable, Iterable, Iterator
from operator import methodcaller
from typing import Any, NamedTuple

from google.protobuf import descriptor_pool
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from imagesearch.common.v1 import images_pb2

PixelsOf = Callable[[bytes], int]
"""Counts the pixels of an encoded image, whatever its bytes are."""


class _Field(NamedTuple):
    """A field that holds images, or leads to some.

    Attributes:
        name: Its name.
        may_be_absent: Looked at without need, an absent message would be made.
        values: Gives what is in it: one, of a list all, of a map the values.
        message: Full name of its type; None: it holds images.
    """

    name: str
    may_be_absent: bool
    values: Callable[[Any], Iterable[Any]]
    message: str | None


class ImageFields:
    """The fields of one type of messages that hold encoded images, found once.

    Args:
        message: The type.
    """

    def __init__(self, message: Descriptor) -> None:
        self._type = message.full_name
        self._fields = _leading_to_images(message)

    def __bool__(self) -> bool:
        """Whether there are any."""
        return self._type in self._fields

    def images_in(self, message: Message) -> Iterator[bytes]:
        """Gives a copy of each image of a message of that type; of none that is absent."""
        return self._images_in(message, self._type)

    def _images_in(self, message: Message, of_type: str) -> Iterator[bytes]:
        for field in self._fields[of_type]:
            if field.may_be_absent and not message.HasField(field.name):
                continue
            value = getattr(message, field.name)
            for each in field.values(value):
                if field.message is not None:
                    yield from self._images_in(each, field.message)
                elif each:
                    yield each


def of_requests(method: str) -> ImageFields | None:
    """The fields of an RPC's requests, e.g. of "/imagesearch.embedder.v1.EmbedderService/Embed".

    None: there are none, or the RPC's contract is not known here.
    """
    service, _, name = method.removeprefix("/").partition("/")
    try:
        described = descriptor_pool.Default().FindMethodByName(f"{service}.{name}")
    except KeyError:
        return None
    return ImageFields(described.input_type) or None


def counting_pixels(method: str, pixels_of: PixelsOf) -> Callable[[Message], int] | None:
    """Makes what counts the pixels of all images in a request of an RPC; None: it has none."""
    if (fields := of_requests(method)) is None:
        return None

    def pixels_in(request: Message) -> int:
        return sum(map(pixels_of, fields.images_in(request)))

    return pixels_in


def _leading_to_images(message: Descriptor) -> dict[str, list[_Field]]:
    """The fields of each type that has images or leads to some; types may be within themselves."""
    types = {message.full_name: message}
    waiting = [message]
    while waiting:
        for field in waiting.pop().fields:
            within = _type_in(field)
            if within is not None and within.full_name not in types:
                types[within.full_name] = within
                waiting.append(within)
    leading: set[str] = set()
    while more := {name for name in types.keys() - leading if _fields_of(types[name], leading)}:
        leading |= more
    return {name: _fields_of(types[name], leading) for name in leading}


def _fields_of(message: Descriptor, leading: set[str]) -> list[_Field]:
    found = []
    for field in message.fields:
        within = _type_in(field)
        if within is not None and within.full_name in leading:
            found.append(_field(field, within.full_name))
        elif field.GetOptions().Extensions[images_pb2.encoded_image]:
            found.append(_field(field, None))
    return found


def _field(field: FieldDescriptor, message: str | None) -> _Field:
    values: Callable[[Any], Iterable[Any]] = _alone
    if field.is_repeated:
        values = methodcaller("values") if _is_map(field) else iter
    return _Field(field.name, not field.is_repeated and field.has_presence, values, message)


def _alone(value: Any) -> tuple[Any]:
    return (value,)


def _type_in(field: FieldDescriptor) -> Descriptor | None:
    """The type of the messages that a field has; of a map, of its values."""
    within = field.message_type
    if within is not None and _is_map(field):
        return within.fields_by_name["value"].message_type
    return within


def _is_map(field: FieldDescriptor) -> bool:
    return field.message_type is not None and bool(field.message_type.GetOptions().map_entry)
