"""Says so where a server lets anybody in who reaches it over the network."""

import ipaddress

import structlog

log = structlog.get_logger()


def is_local(listen: str) -> bool:
    """Whether only this machine reaches an address, e.g. "127.0.0.1:50050"."""
    if listen.startswith(("unix:", "unix-abstract:")):
        return True
    return is_loopback(listen.rpartition(":")[0].strip("[]"))


def is_loopback(host: str) -> bool:
    """Whether a name or an address is this machine's own."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def warn_if_open(listen: str, protected: bool) -> None:
    """Warns if others reach the address and nobody is asked who they are.

    Args:
        listen: The server's address.
        protected: Callers are known, by key, token or certificate.
    """
    if not protected and not is_local(listen):
        what = "whoever reaches this address may read, change and delete everything"
        log.warning("open_to_everyone", address=listen, what=what, see="docs/security.md")
