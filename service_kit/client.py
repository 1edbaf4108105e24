"""Channels to other services: balanced, kept alive, retried within a budget."""

import json
from collections.abc import Iterable
from typing import Any

import grpc

from service_kit.call_metrics import CallMetrics
from service_kit.health import LIVENESS
from service_kit.keyed_channel import KeyedChannel
from service_kit.observed_channel import ObservedChannel
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
    metrics: CallMetrics | None = None,
) -> grpc.aio.Channel:
    """Opens a channel.

    Args:
        target: host:port, or any gRPC name such as "dns:///search:50052"; all its
            addresses that take calls are used in turn.
        idempotent: Methods that may be retried, as "package.Service/Method". Only UNAVAILABLE
            is, three attempts at most, and only while few of the calls fail.
        max_message_bytes: Largest message taken or sent.
        credentials: Of gRPC, for those that `tls` cannot say.
        tls: How to encrypt, with certificates that are read again when they change. None, and no
            credentials: nothing is encrypted.
        api_key: Sent with every call as "authorization: Bearer …". "": none is.
        metrics: Counts the calls; None: nothing does.

    Returns:
        The channel. It connects when it is first used, and again by itself. Its calls carry the
        id of the request being answered, and its trace.

    Raises:
        CertificateError: The files of `tls` cannot be used.
    """
    config: dict[str, Any] = {
        "loadBalancingConfig": [{"round_robin": {}}],
        "retryThrottling": {"maxTokens": 10, "tokenRatio": 0.1},
        # A server that is about to stop is left before it refuses calls. Not the health of the
        # whole: what a server cannot do now it says itself, and better.
        "healthCheckConfig": {"serviceName": LIVENESS},
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
        # A connection that died without a word is replaced after half a minute. The ping that
        # finds it may be one that measures bandwidth, which counts by its own timeout.
        ("grpc.keepalive_time_ms", 20_000),
        ("grpc.keepalive_timeout_ms", 10_000),
        ("grpc.http2.ping_timeout_ms", 30_000),
        ("grpc.http2.max_pings_without_data", 0),  # or they would become rarer
        # A service that was away is found again within seconds, not minutes.
        ("grpc.initial_reconnect_backoff_ms", 200),
        ("grpc.min_reconnect_backoff_ms", 200),
        ("grpc.max_reconnect_backoff_ms", 2_000),
        # So are replicas that have joined, as soon as a connection ends: 30 s by default.
        ("grpc.dns_min_time_between_resolutions_ms", 2_000),
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
    if api_key:
        opened = KeyedChannel(opened, api_key)
    return ObservedChannel(opened, metrics)
