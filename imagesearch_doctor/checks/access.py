"""Who may call: the key, and whether somebody without one may, too."""

import asyncio

import grpc
from imagesearch.gateway.v1 import image_search_service_pb2 as pb

from imagesearch_client import ImageSearchError, PermissionDeniedError
from imagesearch_doctor.findings import Finding, ok, problem, warning
from imagesearch_doctor.system import System
from imagesearch_doctor.targets import GATEWAY


async def access(system: System) -> list[Finding]:
    """Whether the key is taken, what it may do, and whether it is needed."""
    with_key, may_diagnose, open_to_all = await asyncio.gather(
        system.status(), system.diagnostics(), _is_open(system)
    )
    found = []
    target, told = system.targets[GATEWAY], system.options.access
    refused = with_key.error
    if isinstance(refused, PermissionDeniedError):
        found.append(_refused("GetStatus", refused, bool(told.api_key)))
    elif isinstance(may_diagnose.error, PermissionDeniedError):
        found.append(_refused("GetDiagnostics", may_diagnose.error, bool(told.api_key)))
    elif told.api_key and with_key.value is not None and not open_to_all:
        found.append(ok("access", "the key is taken"))
    if open_to_all and not target.is_local:
        what = f"anybody who reaches {target.address} may use it: it asks for no key"
        advice = "let it ask for keys, or let only those reach it who may use it"
        found.append(warning("access", what, advice))
    elif open_to_all:
        found.append(ok("access", "no key is asked for; only this machine was looked at"))
    if told.api_key and told.tls is None and not target.is_local:
        what = f"the key travels to {target.address} in plain text"
        found.append(warning("access", what, "set up TLS, and connect with --tls"))
    return found


async def _is_open(system: System) -> bool:
    request = pb.GetStatusRequest(index=system.options.index)
    try:
        await system.call(system.gateway.GetStatus, request, with_key=False)
    except ImageSearchError:
        return False
    return True


def _refused(method: str, error: ImageSearchError, has_key: bool) -> Finding:
    what = f"{method} is refused: {error.message}"
    if error.code is grpc.StatusCode.PERMISSION_DENIED:
        advice = "use a key that may do this: the doctor needs one for those who run the system"
    elif has_key:
        advice = "check IMAGESEARCH_API_KEY: the key may be mistyped, expired or withdrawn"
    else:
        advice = "give a key with --api-key-file, or in IMAGESEARCH_API_KEY"
    return problem("access", what, advice)
