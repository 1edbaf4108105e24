"""Is the guard up that keeps URLs from leading into the network the gateway is in."""

import ipaddress
from collections.abc import Iterator

from imagesearch.gateway.v1 import diagnostics_pb2
from imagesearch.gateway.v1 import image_search_service_pb2 as pb

from imagesearch_client import ImageSearchError, NotFoundError, PermissionDeniedError
from imagesearch_doctor.findings import Finding, ok, problem, warning
from imagesearch_doctor.system import System

SUBJECT = "URL fetch"

_USUAL_PORTS = {80, 443}
# The gateway's own machine, and where clouds hand out credentials.
_FORBIDDEN = ("http://127.0.0.1/doctor.png", "http://169.254.169.254/doctor.png")
_DANGEROUS = [ipaddress.ip_network(each) for each in ("127.0.0.0/8", "169.254.0.0/16", "::1/128")]


async def url_fetch(system: System) -> list[Finding]:
    """Whether fetching is off, or refuses addresses that are not public: this is tried."""
    told = (await system.diagnostics()).value
    if told is None:
        return []
    if not told.url_fetch.enabled:
        return [ok(SUBJECT, "off: the gateway fetches no URLs")]
    found = list(_settings(told.url_fetch))
    allowed = [ipaddress.ip_network(n, strict=False) for n in told.url_fetch.allowed_networks]
    for url in _FORBIDDEN:
        host = ipaddress.ip_address(url.split("/")[2])
        if not any(host in network for network in allowed) and not await _refused(system, url):
            what = f"{url} was not refused: clients can make the gateway call hosts of its network"
            advice = "set GATEWAY_ALLOW_URL_FETCH=false at once, and update the gateway"
            found.append(problem(SUBJECT, what, advice))
    return found or [ok(SUBJECT, "on; addresses that are not public are refused")]


def _settings(fetch: diagnostics_pb2.UrlFetchDiagnostics) -> Iterator[Finding]:
    if ports := sorted(set(fetch.ports) - _USUAL_PORTS):
        what = f"URLs may name the ports {', '.join(map(str, ports))}"
        yield warning(SUBJECT, what, "leave GATEWAY_FETCH_PORTS at 80 and 443 where that will do")
    for written in fetch.allowed_networks:
        network = ipaddress.ip_network(written, strict=False)
        if any(network.version == each.version and network.overlaps(each) for each in _DANGEROUS):
            what = f"URLs may lead to {written}: the gateway's own machine, or cloud credentials"
            yield problem(SUBJECT, what, "take it out of GATEWAY_FETCH_ALLOWED_NETWORKS")
        elif not network.is_global:
            what = f"URLs may lead into {written}, which is not public"
            advice = "keep GATEWAY_FETCH_ALLOWED_NETWORKS as narrow as can be"
            yield warning(SUBJECT, what, advice)


async def _refused(system: System, url: str) -> bool:
    request = pb.SearchByImageRequest(index=system.options.index, url=url, k=1)
    try:
        await system.call(system.gateway.SearchByImage, request)
    except (PermissionDeniedError, NotFoundError):
        return True
    except ImageSearchError as error:
        return error.reason != "URL_NOT_FETCHED"  # it was tried, and nobody was there
    return False
