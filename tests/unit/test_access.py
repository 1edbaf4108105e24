"""The contracts say who may call each RPC, and name every field that names an index."""

import importlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor
from imagesearch.common.v1 import access_pb2
from imagesearch.search.v1 import search_service_pb2

from service_kit.identity.access import OPEN, Rules

ROOT = Path(__file__).resolve().parents[2] / "protos"

WITHOUT_INDEX = {
    *("Embed", "StreamEmbed", "ListModels", "GetModel", "GetStatistics"),
    *("ListLabelSets", "GetLabelSet"),
}
"""RPCs that have nothing to do with indexes. A new one has to be thought about."""

NAMED_INDEX = {
    "imagesearch.search.v1.IndexService": "name",
    "imagesearch.search.v1.RevisionService": "name",
}
"""Services whose requests call an index otherwise than `index`."""


def methods() -> Iterator[MethodDescriptor]:
    """Every RPC of ours."""
    for file in sorted(ROOT.rglob("*.proto")):
        name = ".".join(file.relative_to(ROOT).with_suffix("").parts) + "_pb2"
        for service in importlib.import_module(name).DESCRIPTOR.services_by_name.values():
            yield from service.methods


METHODS = {method.full_name: method for method in methods()}


def access(method: MethodDescriptor) -> access_pb2.Access:
    return method.GetOptions().Extensions[access_pb2.access]


def index_fields(
    message: Descriptor, called: str, within: tuple[Descriptor, ...] = ()
) -> Iterator[str]:
    """Paths of the string fields of that name, through messages, those within themselves once."""
    for field in message.fields:
        if field.type == FieldDescriptor.TYPE_STRING and field.name == called:
            yield field.name
        elif field.message_type is not None and within.count(field.message_type) < 1:
            for path in index_fields(field.message_type, called, (*within, message)):
                yield f"{field.name}.{path}"


def test_there_are_contracts() -> None:
    assert len(METHODS) > 40


@pytest.mark.parametrize("name", METHODS)
def test_every_rpc_says_which_scopes_it_needs(name: str) -> None:
    scopes = access(METHODS[name]).scopes

    assert scopes
    assert access_pb2.SCOPE_UNSPECIFIED not in scopes


@pytest.mark.parametrize("name", METHODS)
def test_every_field_that_names_an_index_is_declared(name: str) -> None:
    method = METHODS[name]
    called = NAMED_INDEX.get(method.containing_service.full_name, "index")

    found = set(index_fields(method.input_type, called))
    declared = access(method)

    assert set(declared.index_fields) == found
    if not found and method.name not in WITHOUT_INDEX:
        assert declared.every_index != declared.leaves_out


def test_messages_within_themselves_are_looked_into() -> None:
    request = search_service_pb2.UpsertDocumentsRequest.DESCRIPTOR

    assert set(index_fields(request, "index")) == {"index", "more.index"}


class TestRules:
    def test_are_read_from_the_contract(self) -> None:
        rule = Rules().of("/imagesearch.search.v1.SearchService/BatchSearch")
        request = search_service_pb2.BatchSearchRequest()
        request.searches.add(index="a")
        request.searches.add()

        assert rule is not None
        assert rule.scopes == {access_pb2.SCOPE_SEARCH}
        assert list(rule.indexes_in(request)) == ["a", ""]

    def test_let_anybody_ask_for_health_and_nobody_else_look_into_the_server(self) -> None:
        rules = Rules()
        admin = {access_pb2.SCOPE_ADMIN}

        assert rules.of("/grpc.health.v1.Health/Watch") is OPEN
        for method in (
            "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
            "/grpc.channelz.v1.Channelz/GetServers",
            "/google.longrunning.Operations/CancelOperation",
        ):
            rule = rules.of(method)
            assert rule is not None
            assert rule.scopes == admin

    @pytest.mark.parametrize(
        "method",
        ["/imagesearch.search.v1.SearchService/Destroy", "/none.Such/Search", "", "/", "x"],
    )
    def test_know_nothing_of_what_there_is_not(self, method: str) -> None:
        assert Rules().of(method) is None
