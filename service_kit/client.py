"""Channels to other services: balanced, kept alive, retried within a budget."""

import json
from collections.abc import Iterable
from typing import Any

import grpc

from service_kit.keyed_channel import KeyedChannel
from service_kit.tls.client import ClientTls
from service_kit.tls.renewing import RenewingChannel
from service_kit.tls.watching import WatchedCertificates


def channel(
    target: str,
    *,
    idempotent: Iterable[str] = (),
    max_message_bytes: int = 32 * 1024 * 1024,
    credentials: grpc.ChannelCredentials | None = None,
    tls: ClientTls | None = None,
    api_key: str = "",
) -> grpc.aio.Channel:
    """Opens a channel.

    Args:
        target: host:port, or any gRPC name such as "dns:///search:50052"; all its
            addresses are used in turn.
        idempotent: Methods that may be retried, as "package.Service/Method". Only UNAVAILABLE
            is, three attempts at most, and only while few of the calls fail.
        max_message_bytes: Largest message taken or sent.
        credentials: Of gRPC, for those that `tls` cannot say.
        tls: How to encrypt, with certificates that are read again when they change. None, and no
            credentials: nothing is encrypted.
        api_key: Sent with every call as "authorization: Bearer …". "": none is.

    Returns:
        The channel. It connects when it is first used, and again by itself.

    Raises:
        CertificateError: The files of `tls` cannot be used.
    """
    config: dict[str, Any] = {
        "loadBalancingConfig": [{"round_robin": {}}],
        "retryThrottling": {"maxTokens": 10, "tokenRatio": 0.1},
    }
    parted = (method.partition("/") for method in idempotent)
    if names := [{"service": service, "method": method} for service, _, method in parted]:
        retry = {
            "maxAttempts": 3,
            "initialBackoff": "0.05s",
            "maxBackoff": "1s",
            "backoffMultiplier": 2,
            "retryableStatusCodes": ["UNAVAILABLE"],
        }
        config["methodConfig"] = [{"name": names, "retryPolicy": retry}]
    options: list[tuple[str, Any]] = [
        ("grpc.service_config", json.dumps(config)),
        ("grpc.max_receive_message_length", max_message_bytes),
        ("grpc.max_send_message_length", max_message_bytes),
        ("grpc.keepalive_time_ms", 60_000),
        ("grpc.keepalive_timeout_ms", 10_000),
        # A service that was away is found again within seconds, not minutes.
        ("grpc.initial_reconnect_backoff_ms", 200),
        ("grpc.min_reconnect_backoff_ms", 200),
        ("grpc.max_reconnect_backoff_ms", 2_000),
        ("grpc.use_local_subchannel_pool", 1),
    ]
    opened: grpc.aio.Channel
    if tls is not None:
        options += tls.options
        opened = RenewingChannel(
            WatchedCertificates(tls.files),
            lambda newest: grpc.aio.secure_channel(target, newest, options=options),
        )
    elif credentials is not None:
        opened = grpc.aio.secure_channel(target, credentials, options=options)
    else:
        opened = grpc.aio.insecure_channel(target, options=options)
    return KeyedChannel(opened, api_key) if api_key else opened
