"""Does the whole work: a picture of the doctor's own is stored, found and deleted."""

import asyncio
import contextlib
import hashlib
import io
import random
import time
import uuid
from collections.abc import AsyncIterator

from imagesearch.common.v1 import types_pb2 as types
from imagesearch.gateway.v1 import image_search_service_pb2 as pb
from imagesearch.search.v1 import index_service_pb2
from PIL import Image

from imagesearch_client import ImageSearchError
from imagesearch_doctor.findings import Finding, ok, problem
from imagesearch_doctor.system import System
from imagesearch_doctor.targets import SEARCH

SUBJECT = "probe"

_SIDE = 64
_SAME = 0.99
_CLEANUP_S = 5.0


class _Step(Exception):
    """A step did not lead to what it should."""

    def __init__(self, what: str, advice: str) -> None:
        super().__init__(what)
        self.advice = advice


async def probe(system: System) -> list[Finding]:
    """With --write: stores a picture, finds it by image and by text, reads it, deletes it."""
    status = (await system.status()).value
    if not system.options.write or status is None:
        return []
    index = _name(system, status.space)
    began = time.perf_counter()
    try:
        async with _cleared(system, index):
            steps = await _steps(system, index)
    except _Step as step:
        return [problem(SUBJECT, str(step), step.advice)]
    except ImageSearchError as error:
        what = f"in index {index}: {error.message}"
        advice = "see the other findings, and the log of the service that is named"
        if error.reason == "INDEX_NOT_FOUND":
            advice = "the gateway makes no indexes (GATEWAY_AUTO_CREATE_INDEX); give --search"
        return [problem(SUBJECT, what, advice)]
    seconds = time.perf_counter() - began
    return [ok(SUBJECT, f"{', '.join(steps)}: {seconds:.1f} s in all, in index {index}")]


def _name(system: System, space: str) -> str:
    """An index that is nobody's. Where it cannot be deleted, one for each space is left, empty."""
    if SEARCH in system.targets:
        return f"doctor-{uuid.uuid4().hex[:12]}"
    return f"doctor-{hashlib.sha256(space.encode()).hexdigest()[:12]}"


async def _steps(system: System, index: str) -> list[str]:
    """Goes through the steps; gives how long each took.

    Raises:
        _Step: One led to something else than it should.
        ImageSearchError: One failed.
    """
    gateway, picture = system.gateway, _picture()
    taken = _Taken()
    store = pb.IndexImageRequest(
        index=index,
        image=pb.ImageUpload(content=picture, image_name="doctor.png"),
        refresh=types.REFRESH_POLICY_WAIT_FOR,
    )
    image_id = (await system.call(gateway.IndexImage, store)).indexed.image_id
    taken.by("stored")
    try:
        by_image = pb.SearchByImageRequest(index=index, image=picture, k=1)
        found = (await system.call(gateway.SearchByImage, by_image)).results
        if not found or found[0].image.image_id != image_id or found[0].score < _SAME:
            score = f"with a score of {found[0].score:.3f}" if found else "not at all"
            what = f"a picture that was stored is found {score} by itself"
            raise _Step(what, "check that all embedders behind the gateway run the same model")
        taken.by("found by image")
        by_text = pb.SearchByTextRequest(index=index, text="coloured squares", k=100)
        results = (await system.call(gateway.SearchByText, by_text)).results
        if image_id not in [result.image.image_id for result in results]:
            raise _Step("a picture that was stored is not found by text", "see the gateway's log")
        taken.by("by text")
        content = pb.GetImageContentRequest(
            index=index, image_id=image_id, variant=pb.IMAGE_VARIANT_ORIGINAL
        )
        if (await system.call(gateway.GetImageContent, content)).content != picture:
            what = "the image store gives back other bytes than were stored"
            raise _Step(what, "let all gateways use the same store: GATEWAY_STORE_URL")
        taken.by("read")
    finally:
        delete = pb.DeleteImagesRequest(
            index=index, image_ids=[image_id], refresh=types.REFRESH_POLICY_WAIT_FOR
        )
        deleted = await system.call(gateway.DeleteImages, delete)
    if list(deleted.deleted_image_ids) != [image_id]:
        raise _Step("a picture that was stored cannot be deleted", "see the gateway's log")
    taken.by("deleted")
    return taken.steps


class _Taken:
    """How long each step took."""

    def __init__(self) -> None:
        self.steps: list[str] = []
        self._since = time.perf_counter()

    def by(self, step: str) -> None:
        now = time.perf_counter()
        self.steps.append(f"{step} ({(now - self._since) * 1000:.0f} ms)")
        self._since = now


@contextlib.asynccontextmanager
async def _cleared(system: System, index: str) -> AsyncIterator[None]:
    """Makes and deletes the index of a probe, where search_service's address was given."""
    if SEARCH not in system.targets:
        yield
        return
    told = (await system.diagnostics()).value
    if told is not None and told.models:
        create = index_service_pb2.CreateIndexRequest(name=index, space=told.models[0].space)
        create.options.dimensions = told.models[0].dimensions
        await system.call(system.indexes.CreateIndex, create)
    try:
        yield
    finally:
        request = index_service_pb2.DeleteIndexRequest(name=index)
        with contextlib.suppress(ImageSearchError, TimeoutError):
            async with asyncio.timeout(_CLEANUP_S):
                await system.call(system.indexes.DeleteIndex, request)


def _picture() -> bytes:
    """A small picture, another one each time, as PNG."""
    chance = random.Random()
    small = Image.new("RGB", (8, 8))
    small.putdata([tuple(chance.randrange(256) for _ in range(3)) for _ in range(64)])
    buffer = io.BytesIO()
    small.resize((_SIDE, _SIDE), Image.Resampling.NEAREST).save(buffer, "PNG")
    return buffer.getvalue()
