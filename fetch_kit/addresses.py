"""Which IP addresses may be connected to on somebody else's word.

Not `ipaddress`'s `is_global`: it is true of several addresses that lead inside, among them
NAT64 and 6to4 forms of 127.0.0.1 (OWASP API7:2023, server-side request forgery).
"""

import ipaddress
from collections.abc import Iterable, Sequence

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def networks(texts: Iterable[str]) -> tuple[Network, ...]:
    """Reads networks such as "10.0.0.0/8"; a lone address is a network of one.

    Raises:
        ValueError: One is no network.
    """
    return tuple(ipaddress.ip_network(text) for text in texts)


_DENIED_V4 = tuple(
    ipaddress.IPv4Network(network)
    for network in (
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16"),
        *("172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16"),
        *("198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4"),
    )
)

_GLOBAL_V6 = ipaddress.IPv6Network("2000::/3")
"""All that is assigned for use on the internet. Loopback, link-local, site-local, unique local,
multicast, IPv4-compatible, IPv4-translated and local NAT64 addresses are outside of it."""

_DENIED_V6 = tuple(
    ipaddress.IPv6Network(network)
    for network in (
        "2001::/23",  # Teredo (2001::/32) and other protocol assignments
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4: IPv4 inside
        "3ffe::/16",  # the old test network
        "3fff::/20",  # documentation
    )
)

_ISATAP = (0x0000_5EFE, 0x0200_5EFE)
"""Third word of addresses that end in an IPv4 address (RFC 5214)."""

_MAPPED = ipaddress.IPv6Network("::ffff:0:0/96")
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_CARRIERS = (_MAPPED, _NAT64)
"""What leads to the IPv4 address in its last 32 bits, and nowhere else. It is judged by that."""

_METADATA = frozenset(
    ipaddress.ip_address(address)
    for address in (
        *("169.254.169.254", "169.254.169.253", "169.254.170.2", "169.254.170.23"),
        *("100.100.100.200", "192.0.0.192"),  # Alibaba, Oracle
        "168.63.129.16",  # Azure, in no special range
        *("fd00:ec2::254", "fd00:ec2::23", "fd20:ce::254"),
    )
)
"""Where clouds hand out a machine's keys. No wider network allows them: name them alone."""


def is_public(address: str, allowed: Sequence[Network] = ()) -> bool:
    """Whether an IP address may be connected to.

    Args:
        address: IPv4 or IPv6, with or without a zone.
        allowed: Networks that may be although they are not public. Of the addresses where
            clouds hand out keys, only those that a network names alone (/32, /128).

    Raises:
        ValueError: It is not an address.
    """
    bare, _, zone = address.partition("%")
    ip = _without_carrier(ipaddress.ip_address(bare))
    if ip in _METADATA:
        return any(network.num_addresses == 1 and ip in network for network in allowed)
    if any(ip in network for network in allowed):
        return True
    if isinstance(ip, ipaddress.IPv4Address):
        return not any(ip in network for network in _DENIED_V4)
    if zone or ip not in _GLOBAL_V6 or (int(ip) >> 32) & 0xFFFF_FFFF in _ISATAP:
        return False
    return not any(ip in network for network in _DENIED_V6)


def _without_carrier(ip: Address) -> Address:
    if any(ip in carrier for carrier in _CARRIERS):
        return ipaddress.IPv4Address(int(ip) & 0xFFFF_FFFF)
    return ip
