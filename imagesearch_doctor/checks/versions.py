"""Do the servers and this command fit together: versions, contracts, clocks, distances."""

from datetime import UTC, datetime

from imagesearch.embedder.v1 import embedder_service_pb2
from imagesearch.gateway.v1 import image_search_service_pb2
from imagesearch.search.v1 import (
    index_service_pb2,
    revision_service_pb2,
    search_service_pb2,
)

from imagesearch_client import UnimplementedError
from imagesearch_doctor.findings import Finding, ok, problem, warning
from imagesearch_doctor.system import System
from imagesearch_doctor.targets import GATEWAY
from service_kit.about import contract_of, software_version

# Imported above so that their contracts are known to `contract_of`.
_CONTRACTS = (
    embedder_service_pb2,
    image_search_service_pb2,
    index_service_pb2,
    revision_service_pb2,
    search_service_pb2,
)

_SKEW_S = 2.0
_BAD_SKEW_S = 60.0
_FAR_S = 0.25


async def versions(system: System) -> list[Finding]:
    """Whether all run the same version of the software, and speak the same contracts."""
    servers = await system.servers()
    found = [
        warning(
            target.name,
            "it does not tell its version: it is older than this command",
            "bring all to the same version",
        )
        for target in system.targets.values()
        if isinstance((await system.server(target)).error, UnimplementedError)
    ]
    told = {name: server.version for name, server in servers.items()}
    mine = software_version()
    if not told:
        return found
    listed = ", ".join(f"{name} {version or '?'}" for name, version in sorted(told.items()))
    if len({*told.values(), mine}) > 1:
        what = f"versions differ: {listed}; this command {mine or '?'}"
        found.append(warning("versions", what, "bring all to the same version"))
        return found
    if strangers := [n for n, s in servers.items() if s.contract != _contract(list(s.services))]:
        what = (
            f"{', '.join(sorted(strangers))}: version {mine}, but of other contracts than this "
            "command's"
        )
        found.append(warning("versions", what, "install all from the same sources"))
        return found
    return [*found, ok("versions", f"all run {mine or 'the same'}, with the same contracts")]


def _contract(services: list[str]) -> str:
    """The digest that this command's own contracts have; "" where it does not know one."""
    try:
        return contract_of(services)
    except KeyError:
        return ""


async def clocks(system: System) -> list[Finding]:
    """Whether clocks agree: keys expire by them, and images are dated."""
    found = []
    skews: dict[str, float] = {}
    for target in system.targets.values():
        answer = await system.server(target)
        if answer.value is not None:
            then = datetime.fromtimestamp(answer.asked_at + answer.seconds / 2, UTC)
            skews[target.name] = (answer.value.time.ToDatetime(UTC) - then).total_seconds()
    told = (await system.diagnostics()).value
    for part in told.backends if told is not None else ():
        if part.HasField("clock_ahead") and part.name not in skews:
            of_gateway = skews.get(GATEWAY, 0.0)
            skews[part.name] = of_gateway + part.clock_ahead.ToNanoseconds() / 1e9
    for name, skew in skews.items():
        if abs(skew) > _SKEW_S:
            what = f"its clock is {abs(skew):.0f} s {'ahead' if skew > 0 else 'behind'} of here"
            say = problem if abs(skew) > _BAD_SKEW_S else warning
            found.append(say(name, what, "let NTP set the clocks of both machines"))
    if skews and not found:
        found.append(ok("clocks", f"agree within {_SKEW_S:.0f} s"))
    return found


async def distances(system: System) -> list[Finding]:
    """How long a call that does nothing takes, to each server and between them."""
    reached = [t for t in system.targets.values() if (await system.server(t)).value is not None]
    # The first call of each connected, too: it is not counted.
    ways = [(each.name, "from here", await system.round_trip(each)) for each in reached]
    told = (await system.diagnostics()).value
    ways += [
        (part.name, "from the gateway", part.round_trip.ToNanoseconds() / 1e9)
        for part in (told.backends if told is not None else ())
        if part.HasField("server")
    ]
    found = []
    for name, origin, seconds in ways:
        what = f"{seconds * 1000:.1f} ms {origin} and back"
        if seconds > _FAR_S:
            advice = "bring them nearer to one another, or look for what is overloaded"
            found.append(warning(name, what, advice))
        else:
            found.append(ok(name, what))
    return found
