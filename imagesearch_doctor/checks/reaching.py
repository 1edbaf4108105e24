"""Can the servers be reached: names, ports, and whether both sides encrypt."""

import asyncio
import socket
import ssl
import time
from collections.abc import Mapping
from typing import Any

from imagesearch_doctor import greeting
from imagesearch_doctor.findings import Finding, Level, ok, problem, warning
from imagesearch_doctor.greeting import Handshake, Speech
from imagesearch_doctor.system import System
from imagesearch_doctor.targets import ADDRESS_SETTINGS, Access, Target

_MOST_ADDRESSES = 8
_SOON_DAYS = 14
_DAY_S = 86_400

_NOBODY = "nobody listens on"
_NO_TLS = "connect with TLS: `imagesearch --tls doctor`, and --tls-ca for an authority of your own"
_PLAIN = "connect without TLS, or set up TLS on that server"

# OpenSSL's codes (X509_V_ERR_…) that have a remedy of their own.
_REMEDIES: Mapping[int, str] = {
    9: "it begins in the future: compare the clocks of both machines",
    10: "renew it, and let the server read the new one",
    18: "trust it with --tls-ca",
    19: "trust its authority with --tls-ca",
    20: "name its authority with --tls-ca, or let the server send the certificates between",
    21: "name its authority with --tls-ca, or let the server send the certificates between",
    62: "use a name that is in the certificate, say it with --tls-name, or issue one for this name",
    64: "say a name that is in the certificate with --tls-name, or issue one for this address",
}


async def connections(system: System) -> list[Finding]:
    """Whether each address is known, somebody listens there, and both sides encrypt or neither."""
    found = await asyncio.gather(
        *(_reached(target, system.options.access, system) for target in system.targets.values())
    )
    return [finding for findings in found for finding in findings]


async def _reached(target: Target, access: Access, system: System) -> list[Finding]:
    try:
        where = target.host_and_port
    except ValueError as error:
        return [problem(target.name, str(error), "correct the address")]
    if where is None:
        return [ok(target.name, f"{target.address} is connected to by gRPC alone")]
    timeout_s = system.options.timeout_s / 3
    host, port = where
    try:
        async with asyncio.timeout(timeout_s):
            resolved = await asyncio.get_running_loop().getaddrinfo(
                host, port, type=socket.SOCK_STREAM
            )
    except (OSError, TimeoutError) as error:
        advice = "check the spelling, and that the name is known on this machine"
        return [problem(target.name, f"the name {host} is not known: {_said(error)}", advice)]
    addresses = list(dict.fromkeys((str(each[4][0]), port) for each in resolved))
    tried = await asyncio.gather(
        *(
            _talked_to(target, address, access, host, timeout_s)
            for address in addresses[:_MOST_ADDRESSES]
        )
    )
    good = [finding for finding in tried if finding.level is not Level.PROBLEM]
    bad = [finding for finding in tried if finding.level is Level.PROBLEM]
    silent = [finding for finding in bad if _NOBODY in finding.what]
    if not good:  # what an answer tells says more than that another address has none
        return [next((finding for finding in bad if finding not in silent), bad[0])]
    # Of a name's addresses gRPC takes those that answer; localhost often has one that does not.
    amiss = [finding for finding in bad if not (host == "localhost" and finding in silent)]
    return good + [warning(each.subject, each.what, "others answer; see to it") for each in amiss]


async def _talked_to(
    target: Target, address: tuple[str, int], access: Access, host: str, timeout_s: float
) -> Finding:
    """Says how one address of a target is."""
    shown = f"[{address[0]}]:{address[1]}" if ":" in address[0] else f"{address[0]}:{address[1]}"
    try:
        if access.tls is not None:
            shaken = await greeting.handshake(address, access.tls, host, timeout_s)
            return await _judged_handshake(target, address, shown, shaken, timeout_s)
        heard = await greeting.speech(address, timeout_s)
        if heard is Speech.NOTHING and await greeting.speaks_tls(address, timeout_s):
            heard = Speech.TLS
    except ConnectionRefusedError:
        setting = ADDRESS_SETTINGS[target.name]
        advice = (
            f"start {target.name}, or correct the address; {setting} says where it listens, and "
            "127.0.0.1 there means: for its own machine only"
        )
        return problem(target.name, f"{_NOBODY} {shown}", advice)
    except TimeoutError:
        advice = "look for a firewall or a network policy between, and whether the host is up"
        return problem(target.name, f"{shown} does not answer at all", advice)
    except OSError as error:
        advice = "check the address, and the network between"
        return problem(target.name, f"{shown} cannot be reached: {_said(error)}", advice)
    return _judged_speech(target, shown, heard)


def _judged_speech(target: Target, shown: str, heard: Speech) -> Finding:
    name = target.name
    if heard is Speech.HTTP2:
        return ok(name, f"{shown} speaks gRPC, not encrypted")
    if heard is Speech.TLS:
        return problem(name, f"{shown} speaks TLS, and the doctor plain text", _NO_TLS)
    what, advice = {
        Speech.HTTP1: (
            f"{shown} speaks HTTP/1 and no gRPC",
            "take the gRPC port: this may be that of the page, of metrics or of Elasticsearch",
        ),
        Speech.NOTHING: (
            f"{shown} takes connections and says nothing",
            "look whether a proxy is between whose server is away, or the process is stuck",
        ),
        Speech.OTHER: (f"{shown} speaks something that is no gRPC", "take the gRPC port"),
    }[heard]
    return problem(name, what, advice)


async def _judged_handshake(
    target: Target, address: tuple[str, int], shown: str, shaken: Handshake, timeout_s: float
) -> Finding:
    name, error = target.name, shaken.error
    if isinstance(error, ssl.SSLCertVerificationError):
        what = f"the certificate of {shown} is refused: {error.verify_message}"
        advice = _REMEDIES.get(error.verify_code, "issue a certificate that is valid for it")
        return problem(name, what, advice)
    if isinstance(error, ConnectionRefusedError | TimeoutError):
        raise error
    if error is not None:
        if await greeting.speech(address, timeout_s) is Speech.HTTP2:
            what = f"{shown} speaks plain text, and the doctor TLS"
            return problem(name, what, _PLAIN)
        return problem(name, f"{shown} fails at TLS: {_said(error)}", _PLAIN)
    if not shaken.http2:
        what = f"{shown} speaks TLS without HTTP/2, which gRPC needs"
        return problem(name, what, "let the proxy at that address offer h2 by ALPN")
    if shaken.ended:
        what = f"{shown} ends the connection after the handshake of TLS"
        advice = (
            "it may take only clients with a certificate that it trusts: --tls-certificate and "
            "--tls-key"
        )
        return problem(name, what, advice)
    return _judged_certificate(name, shown, shaken.certificate or {})


def _judged_certificate(name: str, shown: str, certificate: Mapping[str, Any]) -> Finding:
    ends = certificate.get("notAfter")
    if not isinstance(ends, str):
        return ok(name, f"{shown} speaks gRPC over TLS")
    days = (ssl.cert_time_to_seconds(ends) - time.time()) / _DAY_S
    if days < _SOON_DAYS:
        what = f"the certificate of {shown} ends in {days:.0f} days ({ends})"
        return warning(name, what, "renew it, and let the server read the new one")
    return ok(name, f"{shown} speaks gRPC over TLS; its certificate is valid until {ends}")


def _said(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
