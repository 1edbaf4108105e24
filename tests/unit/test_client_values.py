"""The client's filters, values and errors, without a server."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2, status_pb2
from imagesearch.common.v1 import types_pb2 as types
from imagesearch.gateway.v1 import image_search_service_pb2 as pb

from imagesearch_client import (
    AsyncClient,
    Client,
    InvalidRequestError,
    OverloadedError,
    box,
    field,
    term,
    upload,
)
from imagesearch_client.errors import from_status
from imagesearch_client.values import label_choice


def test_filters_read_like_sentences() -> None:
    wanted = (
        field("tags").is_in("cat", "dog")
        & (field("width") >= 1000)
        & ~(field("format") == "GIF")
        & field("relative_path").starts_with("2024/")
    )

    message = wanted.message
    kinds = [each.WhichOneof("condition") for each in message.all_of.filters]
    assert kinds == ["terms", "range", "none_of", "prefix"]  # one list, not lists in lists
    assert message.all_of.filters[1].range.gte.number == 1000
    assert message.all_of.filters[2].none_of.filters[0].term.value.text == "GIF"


def test_or_binds_as_the_brackets_say() -> None:
    a, b, c = field("tags") == "a", field("tags") == "b", field("caption").exists()

    message = ((a | b) & c).message

    assert [f.WhichOneof("condition") for f in message.all_of.filters] == ["any_of", "exists"]
    assert len(message.all_of.filters[0].any_of.filters) == 2


def test_times_need_a_zone() -> None:
    since = field("captured_at") >= datetime(2024, 1, 1, tzinfo=UTC)
    assert since.message.range.gte.time.seconds == 1_704_067_200
    with pytest.raises(ValueError, match="time zone"):
        _ = field("captured_at") >= datetime(2024, 1, 1)


def test_a_filter_has_no_truth() -> None:
    """`and` in the place of `&` would silently drop a condition."""
    with pytest.raises(TypeError, match="&"):
        _ = (field("tags") == "a") and (field("tags") == "b")


@pytest.mark.parametrize(
    "sources", [{}, {"text": "a", "image_id": "b"}, {"image": b"x", "url": "http://a"}]
)
def test_a_term_has_one_source(sources: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match="exactly one"):
        term(**sources)


def test_an_image_may_be_a_file(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"picture")

    made = term(image=tmp_path / "a.png", region=box(0, 0, 0.5, 1), weight=-0.5)

    assert (made.image, made.weight, made.region.box.right) == (b"picture", -0.5, 0.5)
    assert upload(tmp_path / "a.png").image_name == "a.png"
    assert upload(tmp_path / "a.png", relative_path="x/b.png").image_name == ""


def test_a_file_that_no_server_takes_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "large.png").open("wb") as file:
        file.truncate(21 * 1024 * 1024)
    with pytest.raises(ValueError, match="at most"):
        term(image=tmp_path / "large.png")


def test_labels() -> None:
    described = label_choice({"cat": ["a cat", "一只猫"], "dog": []}, None)["labels"]
    assert [(each.name, list(each.texts)) for each in described.labels] == [
        ("cat", ["a cat", "一只猫"]),
        ("dog", []),
    ]
    assert label_choice(None, "animals") == {"label_set": "animals"}
    assert label_choice(None, None, required=False) == {}
    for wrong in ((None, None), (["a"], "b")):
        with pytest.raises(TypeError, match="labels"):
            label_choice(*wrong)
    with pytest.raises(TypeError, match="not one name"):
        label_choice("cat", None)


def test_errors_say_all_that_the_server_said() -> None:
    bad = error_details_pb2.BadRequest()
    bad.field_violations.add(field="k", description="is 0")
    retry = error_details_pb2.RetryInfo(retry_delay=Duration(seconds=2))
    info = error_details_pb2.ErrorInfo(reason="QUEUE_FULL", domain="imagesearch")

    invalid = status_pb2.Status(code=grpc.StatusCode.INVALID_ARGUMENT.value[0], message="k: is 0")
    invalid.details.add().Pack(bad)
    full = status_pb2.Status(code=grpc.StatusCode.RESOURCE_EXHAUSTED.value[0], message="full")
    full.details.add().Pack(info)
    full.details.add().Pack(retry)

    first, second = from_status(invalid), from_status(full)
    assert isinstance(first, InvalidRequestError)
    assert (str(first), first.violations) == ("k: is 0", (("k", "is 0"),))
    assert isinstance(second, OverloadedError)
    assert (second.reason, second.retry_after) == ("QUEUE_FULL", timedelta(seconds=2))


@pytest.mark.parametrize("client", [AsyncClient, Client])
def test_every_rpc_has_a_method_that_says_what_it_does(client: type) -> None:
    for method in pb.DESCRIPTOR.services_by_name["ImageSearchService"].methods:
        name = "".join(f"_{c.lower()}" if c.isupper() else c for c in method.name).lstrip("_")
        assert getattr(client, name).__doc__, f"{client.__name__}.{name}"


def test_filter_messages_are_taken_too() -> None:
    from imagesearch_client.filters import message_of

    message = types.Filter(exists=types.ExistsCondition(field="tags"))
    assert message_of(message) is message
    assert message_of(None) is None
