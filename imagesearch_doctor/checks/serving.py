"""Do the servers do their work: health by name, the parts behind the gateway, reflection."""

import asyncio
from typing import Any

import grpc
from google.rpc import code_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from imagesearch.common.v1 import access_pb2
from imagesearch.gateway.v1 import diagnostics_pb2
from imagesearch.gateway.v1 import image_search_service_pb2 as pb

from imagesearch_client import (
    ImageSearchError,
    NotFoundError,
    PermissionDeniedError,
    UnavailableError,
)
from imagesearch_doctor.findings import Finding, ok, problem, warning
from imagesearch_doctor.system import System
from imagesearch_doctor.targets import EMBEDDER, SEARCH, SERVICES, Target
from service_kit.identity.callers import names_of

_SERVING = health_pb2.HealthCheckResponse.SERVING

_START = {
    EMBEDDER: "start it, or correct GATEWAY_EMBEDDER; until it is up it loads and measures models",
    SEARCH: "start it or Elasticsearch, or correct GATEWAY_SEARCH or ELASTICSEARCH_URL",
}
_KEY = "check GATEWAY_BACKEND_API_KEY: it must be a key of that service, for search and ingest"
_NEEDED = (access_pb2.SCOPE_SEARCH, access_pb2.SCOPE_INGEST)


async def health(system: System) -> list[Finding]:
    """What each server says of its health, for each service that it must have."""
    found = await asyncio.gather(*(_healthy(system, target) for target in system.targets.values()))
    return [finding for findings in found for finding in findings]


async def _healthy(system: System, target: Target) -> list[Finding]:
    stub: Any = health_pb2_grpc.HealthStub(system.channel(target))
    bad = []
    for name in SERVICES[target.name]:
        request = health_pb2.HealthCheckRequest(service=name)
        try:
            answer = await system.call(stub.Check, request)
        except NotFoundError:
            return [await _stranger(system, target)]
        except ImageSearchError as error:
            return [_no_answer(target, error)]
        if answer.status != _SERVING:
            bad.append(name.rpartition(".")[2])
    if bad:
        what = f"it says of {', '.join(bad)}: NOT_SERVING"
        advice = "look at the findings on the parts behind it, and at its log for event `health`"
        return [problem(target.name, what, advice)]
    return [ok(target.name, "SERVING")]


def _no_answer(target: Target, error: ImageSearchError) -> Finding:
    if isinstance(error, UnavailableError):
        advice = "see the connection's own finding; start it, or correct the address"
        return problem(target.name, f"{target.address} cannot be called: {error.message}", advice)
    advice = "see its log; something between may answer in its place"
    what = f"{target.address} does not answer for its health: {error.code.name}, {error.message}"
    return problem(target.name, what, advice)


async def _stranger(system: System, target: Target) -> Finding:
    """Says who answers at an address where somebody else was looked for."""
    known = (await system.server(target)).value
    services = set(known.services if known is not None else ())
    there = next((name for name, needed in SERVICES.items() if services & set(needed)), None)
    what = f"{target.address} is {there or 'a gRPC server of somebody else'}, and no {target.name}"
    return problem(target.name, what, f"give the address of {target.name}")


async def parts(system: System) -> list[Finding]:
    """Whether the gateway reaches what is behind it."""
    answer = await system.status()
    if answer.value is None:
        return []
    return [
        ok(part.name, "serving, the gateway says" + (f" ({part.detail})" if part.detail else ""))
        if part.serving
        else problem(part.name, f"the gateway says: {part.detail}", _advice(part))
        for part in answer.value.components
    ]


def _advice(part: pb.ComponentStatus) -> str:
    return _KEY if part.refuses_gateway else _START.get(part.name, "")


async def backends(system: System) -> list[Finding]:
    """Whether the services behind the gateway know it, and the calls it makes."""
    told = (await system.diagnostics()).value
    found = []
    for part in told.backends if told is not None else ():
        code, message = part.error.code, part.error.message
        if "UNAUTHENTICATED" in message or code == code_pb2.PERMISSION_DENIED:
            what = f"it refuses the gateway: {message}"
            found.append(problem(part.name, what, _KEY))
        elif "UNIMPLEMENTED" in message:
            what = "it does not tell what it is: it is older than the gateway"
            found.append(warning(part.name, what, "bring all to the same version"))
        elif code == code_pb2.INTERNAL:
            what = f"it does not tell the gateway what it is: {message}"
            found.append(problem(part.name, what, "see the log of both"))
        elif part.HasField("gateway"):
            found += _allowed(part)
    return found


def _allowed(part: diagnostics_pb2.BackendDiagnostics) -> list[Finding]:
    """What the gateway may not do behind it, whatever its callers may."""
    missing = names_of(scope for scope in _NEEDED if scope not in part.gateway.scopes)
    found = []
    if missing:
        what = f"the gateway's key does not let it {' and '.join(missing)}: calls that need it fail"
        found.append(warning(part.name, what, _KEY))
    if "*" not in part.gateway.indexes:
        what = f"the gateway's key is for these indexes only: {', '.join(part.gateway.indexes)}"
        advice = "if the gateway serves others too, make it a key without --index"
        found.append(warning(part.name, what, advice))
    return found


async def reflection(system: System) -> list[Finding]:
    """Whether tools such as grpcurl can list what there is. Both is well."""
    found = await asyncio.gather(
        *(_reflecting(system, target) for target in system.targets.values())
    )
    return [finding for finding in found if finding is not None]


async def _reflecting(system: System, target: Target) -> Finding | None:
    stub: Any = reflection_pb2_grpc.ServerReflectionStub(system.channel(target))
    call = stub.ServerReflectionInfo(
        timeout=system.options.timeout_s, metadata=system.options.access.metadata
    )
    try:
        await call.write(reflection_pb2.ServerReflectionRequest(list_services=""))
        await call.done_writing()
        answer = await call.read()
    except grpc.aio.AioRpcError as error:
        off = grpc.StatusCode.UNIMPLEMENTED, grpc.StatusCode.PERMISSION_DENIED
        if error.code() in (*off, grpc.StatusCode.UNAUTHENTICATED):
            return ok(target.name, "reflection is off: grpcurl needs the .proto files")
        return None  # that it does not answer, others say
    finally:
        call.cancel()
    if answer is grpc.aio.EOF:
        return None
    services = [each.name for each in answer.list_services_response.service]
    if missing := [name for name in SERVICES[target.name] if name not in services]:
        what = f"reflection does not list {', '.join(missing)}"
        return problem(target.name, what, f"give the address of {target.name}")
    return ok(target.name, f"reflection lists {len(services)} services")


async def answers(system: System) -> list[Finding]:
    """Whether the gateway answers the calls that the other checks rest on."""
    status, diagnostics = await system.status(), await system.diagnostics()
    found = []
    for method, error in (("GetStatus", status.error), ("GetDiagnostics", diagnostics.error)):
        if error is None or isinstance(error, UnavailableError):
            continue  # that it is away, the health's check says
        if isinstance(error, PermissionDeniedError):
            continue  # and the access's check, that it refuses
        if error.code is grpc.StatusCode.UNIMPLEMENTED:
            what = f"it has no {method}: it is older than this command, or no gateway"
            found.append(problem("gateway", what, "bring both to the same version"))
            continue
        what = f"{method} fails: {error.code.name}, {error.message}"
        advice = "check --index" if error.violations else "see the gateway's log"
        found.append(problem("gateway", what, advice))
    return found
