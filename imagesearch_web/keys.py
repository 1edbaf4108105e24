"""Keys for the gateway that callers bring."""

from collections.abc import Mapping


def bearer(headers: Mapping[str, str]) -> str:
    """Gives the `Authorization` header if it has a key for the gateway, else "".

    Anything else in it is not the gateway's, e.g. a password of a server before this one. Browsers
    add passwords by themselves, but never keys: who brings one means to.
    """
    authorization = headers.get("authorization", "")
    return authorization if authorization[:7].lower() == "bearer " else ""
