"""What is examined, and with what the doctor identifies itself."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from service_kit.identity.exposure import is_loopback
from service_kit.tls.client import ClientTls

GATEWAY = "gateway"
EMBEDDER = "embedder_service"
SEARCH = "search_service"

SERVICES: Mapping[str, Sequence[str]] = {
    GATEWAY: ("imagesearch.gateway.v1.ImageSearchService",),
    EMBEDDER: ("imagesearch.embedder.v1.EmbedderService",),
    SEARCH: ("imagesearch.search.v1.IndexService", "imagesearch.search.v1.SearchService"),
}
"""Full names of the services that each server must have."""

ADDRESS_SETTINGS: Mapping[str, str] = {
    GATEWAY: "GATEWAY_LISTEN",
    EMBEDDER: "EMBEDDER_LISTEN",
    SEARCH: "SEARCH_LISTEN",
}
"""The setting of each server that says where it listens."""


@dataclass(frozen=True)
class Access:
    """With what the doctor comes.

    Attributes:
        api_key: Sent with every call; "" for none.
        tls: How connections are encrypted. None: they are not.
    """

    api_key: str = field(default="", repr=False)
    tls: ClientTls | None = None

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """Sent with every call."""
        return (("authorization", f"Bearer {self.api_key}"),) if self.api_key else ()


@dataclass(frozen=True)
class Target:
    """A server to examine.

    Attributes:
        name: `GATEWAY`, `EMBEDDER` or `SEARCH`.
        address: host:port, or any gRPC name.
    """

    name: str
    address: str

    @property
    def host_and_port(self) -> tuple[str, int] | None:
        """Where it listens; None where the name is not of the forms host:port and dns:///host:port.

        Raises:
            ValueError: There is no port.
        """
        rest = self.address
        if rest.startswith("dns:"):
            rest = rest.removeprefix("dns:").rpartition("/")[2]
        elif rest.startswith(("unix:", "unix-abstract:", "ipv4:", "ipv6:", "xds:", "vsock:")):
            return None
        host, colon, port = rest.rpartition(":")
        if not colon or not port.isdigit() or not 0 < int(port) < 65536:
            raise ValueError(f"{self.address} names no port; write HOST:PORT")
        return host.strip("[]"), int(port)

    @property
    def is_local(self) -> bool:
        """It is on this machine, so that nobody can listen in."""
        try:
            found = self.host_and_port
        except ValueError:
            return False
        if found is None:
            return self.address.startswith("unix")
        return is_loopback(found[0])


@dataclass(frozen=True)
class Options:
    """What to examine, and how.

    Attributes:
        gateway: Its address.
        embedder: embedder_service's address; "" where it cannot be reached from here.
        search: search_service's address; "" likewise.
        elasticsearch: Elasticsearch's URL; "" likewise.
        metrics: URLs that must serve Prometheus metrics.
        index: The index to look at.
        write: Store a picture, find it and delete it.
        access: With what the doctor comes.
        timeout_s: Longest for one check.
    """

    gateway: str
    embedder: str = ""
    search: str = ""
    elasticsearch: str = ""
    metrics: Sequence[str] = ()
    index: str = ""
    write: bool = False
    access: Access = Access()
    timeout_s: float = 10.0

    @property
    def targets(self) -> list[Target]:
        """The servers whose addresses were given."""
        given = ((GATEWAY, self.gateway), (EMBEDDER, self.embedder), (SEARCH, self.search))
        return [Target(name, address) for name, address in given if address]
