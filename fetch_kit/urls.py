r"""What of a URL is decided before anything is resolved.

Hosts are judged in the very form that is connected to later: what two parsers read
differently (`127.1`, `0x7f.1`, `a.com\@b`, zone ids, escapes) is refused, not interpreted.
"""

import ipaddress
import re
from collections.abc import Collection, Sequence

from yarl import URL

from fetch_kit.addresses import Network, is_public
from fetch_kit.errors import UrlForbiddenError, UrlInvalidError

MAX_URL_BYTES = 8_192

_NO_URL = "is not an http or https URL"
_STRANGE = re.compile(r"[\x00-\x1f\x7f\\\ud800-\udfff]")
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")


def check_url(
    text: str, ports: Collection[int] = (80, 443), allowed: Sequence[Network] = ()
) -> URL:
    """Reads a URL that may be fetched as far as can be told without resolving its host.

    Args:
        text: The URL.
        ports: Ports it may name.
        allowed: Networks it may name although they are not public.

    Raises:
        UrlInvalidError: It is no http or https URL, too long, or carries a user name.
        UrlForbiddenError: Its port is not allowed, or its host is an address that is not
            public or is not in its usual form.
    """
    url = parse_url(text)
    try:
        port = url.port
    except ValueError as error:
        raise UrlInvalidError(_NO_URL) from error
    host = url.raw_host
    if url.scheme not in ("http", "https") or not host:
        raise UrlInvalidError(_NO_URL)
    if ":" not in host and "[" in text.partition("://")[2].partition("/")[0]:
        raise UrlInvalidError("has a host that is no name")
    if url.user is not None or url.password is not None:
        raise UrlInvalidError("must not carry a user name or password")
    if port not in ports:
        raise UrlForbiddenError(f"port {port} is not allowed")
    check_host(host, allowed)
    return url.with_fragment(None)


def parse_url(text: str) -> URL:
    """Reads a URL, or a reference, of any scheme.

    Raises:
        UrlInvalidError: It is none, too long, or holds what browsers drop or turn round.
    """
    if len(text.encode(errors="replace")) > MAX_URL_BYTES:
        raise UrlInvalidError(f"has more than {MAX_URL_BYTES} bytes")
    if _STRANGE.search(text):
        raise UrlInvalidError(_NO_URL)
    try:
        return URL(text)
    except (ValueError, IndexError) as error:  # IndexError: yarl, of "http://]"
        raise UrlInvalidError(_NO_URL) from error


def check_host(host: str, allowed: Sequence[Network] = ()) -> None:
    """Checks a host as it is handed to the resolver, or connected to if it is an address.

    Raises:
        UrlInvalidError: It can be neither a name nor an address.
        UrlForbiddenError: It is an address that is not public or is not in its usual form.
    """
    if ":" in host or "%" in host:
        try:
            public = "%" not in host and is_public(host, allowed)
        except ValueError as error:
            raise UrlInvalidError("has a host that is no name") from error
        if not public:
            raise UrlForbiddenError(f"{host} is not a public address")
        return
    labels = host.lower().removesuffix(".").split(".")
    if _NUMBER.fullmatch(labels[-1]):  # by the URL standard this can only be an IPv4 address
        try:
            public = is_public(str(ipaddress.IPv4Address(host)), allowed)
        except ValueError as error:
            raise UrlForbiddenError(f"{host} is not a public address in its usual form") from error
        if not public:
            raise UrlForbiddenError(f"{host} is not a public address")
        return
    if len(host) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise UrlInvalidError("has a host that is no name")
