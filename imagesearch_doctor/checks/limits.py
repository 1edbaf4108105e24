"""Do the limits of the parts agree, so that nothing is taken at one and refused at the next."""

from imagesearch.gateway.v1 import diagnostics_pb2 as pb

from imagesearch_doctor.findings import Finding, ok, problem, warning
from imagesearch_doctor.system import System
from imagesearch_doctor.targets import GATEWAY

# What a message has beside its image: names, tags, attributes.
_AROUND_AN_IMAGE = 64 * 1024
_MIB = 1024 * 1024


async def limits(system: System) -> list[Finding]:
    """Whether what the gateway takes can be passed on."""
    told = (await system.diagnostics()).value
    return [] if told is None else judged(told)


def judged(told: pb.GetDiagnosticsResponse) -> list[Finding]:
    """What is to be said of the limits."""
    found = [*_messages(told), *_images(told)]
    if not found:
        what = f"images of {_mib(told.max_image_bytes)} pass through all parts"
        found.append(ok("limits", what))
    return found


def _messages(told: pb.GetDiagnosticsResponse) -> list[Finding]:
    gateway = told.gateway.max_message_bytes
    found = []
    for part in told.backends:
        theirs = part.server.max_message_bytes
        if part.HasField("server") and theirs != gateway:
            what = f"it takes messages of {_mib(theirs)}, and the gateway such of {_mib(gateway)}"
            say = problem if theirs < gateway else warning
            found.append(say(part.name, what, "set MAX_MESSAGE_BYTES of all services alike"))
    if gateway < told.max_image_bytes + _AROUND_AN_IMAGE:
        what = (
            f"it allows images of {_mib(told.max_image_bytes)}, and messages of only "
            f"{_mib(gateway)}"
        )
        found.append(problem(GATEWAY, what, "raise GATEWAY_MAX_MESSAGE_BYTES, of clients too"))
    return found


def _images(told: pb.GetDiagnosticsResponse) -> list[Finding]:
    found = []
    for model in told.models:
        if model.takes_images and model.max_image_bytes < told.max_image_bytes:
            what = (
                f"the gateway allows images of {_mib(told.max_image_bytes)}, and {model.name} "
                f"takes such of {_mib(model.max_image_bytes)}"
            )
            advice = "set GATEWAY_MAX_IMAGE_BYTES to no more than EMBEDDER_MAX_IMAGE_BYTES"
            found.append(problem(GATEWAY, what, advice))
        if model.takes_images and model.max_image_pixels < told.max_image_pixels:
            what = (
                f"the gateway allows {told.max_image_pixels} pixels, and {model.name} takes "
                f"{model.max_image_pixels}"
            )
            advice = "set GATEWAY_MAX_IMAGE_PIXELS to no more than EMBEDDER_MAX_IMAGE_PIXELS"
            found.append(problem(GATEWAY, what, advice))
    return found


def _mib(size: int) -> str:
    return f"{size / _MIB:.1f} MiB"
