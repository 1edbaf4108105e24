"""What operators see: reflection, health, grpcurl, --help, bad settings, and the log."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import sys
from pathlib import Path

import grpc
import pytest
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)

from tests.helpers import a_picture
from tests.system.conftest import System

NAMES = ("embedder_service", "search_service", "gateway")

OWN = {
    "embedder_service": ["imagesearch.embedder.v1.EmbedderService"],
    "search_service": [
        "imagesearch.search.v1.IndexService",
        "imagesearch.search.v1.SearchService",
    ],
    "gateway": ["imagesearch.gateway.v1.ImageSearchService"],
}


@pytest.mark.parametrize("name", NAMES)
def test_reflection_tells_all_there_is(system: System, name: str) -> None:
    with grpc.insecure_channel(system.services[name].address) as channel:
        database = ProtoReflectionDescriptorDatabase(channel)
        pool = DescriptorPool(database)

        assert {*OWN[name], "grpc.health.v1.Health"} <= set(database.get_services())
        for service in OWN[name]:
            assert pool.FindServiceByName(service).methods


def grpcurl(address: str, *arguments: str, data: object = None) -> str:
    """Runs grpcurl as a person does."""
    found = shutil.which("grpcurl") or shutil.which("grpcurl", path=Path.home() / "go" / "bin")
    if found is None:
        pytest.skip("no grpcurl here")
    sent = ["-d", "@"] if data is not None else []
    done = subprocess.run(
        [found, "-plaintext", *sent, address, *arguments],
        input=json.dumps(data),
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    return done.stdout


@pytest.mark.parametrize("name", NAMES)
def test_grpcurl_lists_describes_and_asks_for_health(system: System, name: str) -> None:
    address = system.services[name].address

    listed = grpcurl(address, "list").split()
    described = grpcurl(address, "describe", OWN[name][0])
    health = json.loads(grpcurl(address, "grpc.health.v1.Health/Check"))

    assert set(OWN[name]) <= set(listed)
    assert "rpc " in described
    assert health == {"status": "SERVING"}


def test_grpcurl_embeds_stores_and_searches(system: System, new_index: str) -> None:
    image = base64.b64encode(a_picture(1)).decode()
    embed = "imagesearch.embedder.v1.EmbedderService/Embed"
    gateway = "imagesearch.gateway.v1.ImageSearchService"

    inputs = {"inputs": [{"image": image}, {"text": "两个红色的圆"}]}
    embedded = json.loads(grpcurl(system.services["embedder_service"].address, embed, data=inputs))
    upload = {"index": new_index, "image": {"content": image, "relativePath": "a.png"}}
    upload["refresh"] = "REFRESH_POLICY_WAIT_FOR"
    grpcurl(system.gateway, f"{gateway}/IndexImage", data=upload)
    by_image = {"index": new_index, "image": image, "k": 3}
    found = json.loads(grpcurl(system.gateway, f"{gateway}/SearchByImage", data=by_image))
    by_text = {"index": new_index, "text": "a red circle", "k": 3}
    also = json.loads(grpcurl(system.gateway, f"{gateway}/SearchByText", data=by_text))

    assert [len(result["vector"]["values"]) for result in embedded["results"]] == [512, 512]
    assert found["results"][0]["image"]["relative_path"] == "a.png"
    assert found["results"][0]["score"] == pytest.approx(1, abs=1e-3)
    assert len(also["results"]) == 1


@pytest.mark.parametrize("name", NAMES)
def test_help_explains_every_setting(name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", name, "--help"], capture_output=True, text=True, check=True
    )

    for flag in ("--listen", "--grace-s", "--max-message-bytes", "--log-level"):
        assert flag in done.stdout


@pytest.mark.parametrize("name", NAMES)
def test_bad_settings_end_the_program_with_their_names(name: str) -> None:
    prefix = {"embedder_service": "EMBEDDER_", "search_service": "SEARCH_", "gateway": "GATEWAY_"}
    done = subprocess.run(
        [sys.executable, "-m", name, "--max-message-bytes", "-1", "--log-format", "xml"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 2
    assert f"{prefix[name]}MAX_MESSAGE_BYTES" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("name", NAMES)
def test_the_log_is_json_a_line(system: System, name: str) -> None:
    lines = system.services[name].process.log.read_text().splitlines()
    events = [json.loads(line) for line in lines if line.startswith("{")]

    assert {"serving", "health"} <= {event["event"] for event in events}
    assert {event["service"] for event in events} == {name}
    calls = [event for event in events if event["event"] == "call"]
    assert all({"method", "code", "ms"} <= call.keys() for call in calls)
