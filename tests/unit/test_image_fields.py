"""The contracts say which bytes of requests are images, and they are found by that."""

from collections.abc import Iterator

import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from imagesearch.common.v1 import images_pb2
from imagesearch.embedder.v1 import embedder_service_pb2
from imagesearch.gateway.v1 import image_search_service_pb2, queries_pb2

from service_kit.image_fields import ImageFields, of_requests
from tests.unit.test_access import METHODS

NO_IMAGES: set[str] = set()
"""Full names of bytes fields of requests that are no images. A new one has to be thought about."""


def reachable(message: Descriptor, seen: dict[str, Descriptor]) -> dict[str, Descriptor]:
    """A type and all within it, by name."""
    if message.full_name not in seen:
        seen[message.full_name] = message
        for field in message.fields:
            if field.message_type is not None:
                reachable(field.message_type, seen)
    return seen


def bytes_of_requests() -> Iterator[FieldDescriptor]:
    """Every bytes field that a request of ours may have, at whatever depth."""
    types: dict[str, Descriptor] = {}
    for method in METHODS.values():
        reachable(method.input_type, types)
    for message in types.values():
        yield from (each for each in message.fields if each.type == FieldDescriptor.TYPE_BYTES)


FIELDS = {field.full_name: field for field in bytes_of_requests()}


def test_there_are_such_fields() -> None:
    assert len(FIELDS) >= 8


@pytest.mark.parametrize("name", sorted(FIELDS))
def test_all_bytes_of_requests_are_declared_as_images(name: str) -> None:
    """Their pixels would not be counted otherwise."""
    declared = FIELDS[name].GetOptions().Extensions[images_pb2.encoded_image]

    assert declared or name in NO_IMAGES


@pytest.mark.parametrize("name", sorted(METHODS))
def test_images_are_found_wherever_a_request_can_have_them(name: str) -> None:
    method = METHODS[name]
    service, _, rpc = name.rpartition(".")
    types = reachable(method.input_type, {})
    has_bytes = any(field.containing_type.full_name in types for field in FIELDS.values())

    assert (of_requests(f"/{service}/{rpc}") is not None) == has_bytes


def test_images_are_found_in_lists_and_choices() -> None:
    fields = ImageFields(embedder_service_pb2.EmbedRequest.DESCRIPTOR)
    inputs = [
        embedder_service_pb2.EmbedInput(image=b"a"),
        embedder_service_pb2.EmbedInput(text="t"),
        embedder_service_pb2.EmbedInput(),
        embedder_service_pb2.EmbedInput(image=b"b"),
    ]

    assert list(fields.images_in(embedder_service_pb2.EmbedRequest(inputs=inputs))) == [b"a", b"b"]


def test_images_are_found_at_depth_and_nothing_is_made_of_what_is_absent() -> None:
    fields = ImageFields(image_search_service_pb2.IndexImageRequest.DESCRIPTOR)
    upload = image_search_service_pb2.ImageUpload(content=b"a")
    empty = image_search_service_pb2.IndexImageRequest()

    assert list(fields.images_in(empty)) == []
    assert not empty.HasField("image")
    assert list(fields.images_in(image_search_service_pb2.IndexImageRequest(image=upload))) == [
        b"a"
    ]


def test_terms_that_are_no_images_are_passed_over() -> None:
    fields = of_requests("/imagesearch.gateway.v1.ImageSearchService/SearchImages")
    assert fields is not None
    terms = [
        queries_pb2.QueryTerm(text="t"),
        queries_pb2.QueryTerm(image=b"a"),
        queries_pb2.QueryTerm(url="u"),
    ]

    assert list(fields.images_in(queries_pb2.SearchImagesRequest(terms=terms))) == [b"a"]


@pytest.mark.parametrize("method", ["/unknown.Service/Do", "/grpc.health.v1.Health/Check", "", "/"])
def test_other_requests_have_none(method: str) -> None:
    assert of_requests(method) is None
