"""Health on a port of its own, in clear text: for probes that cannot do TLS, such as kubelet's."""

import grpc
from grpc_health.v1 import health, health_pb2_grpc


def bind(address: str, servicer: health.aio.HealthServicer) -> grpc.aio.Server:
    """Makes a server of health alone; whoever asked for it starts and stops it.

    Args:
        address: Where it listens, as host:port.
        servicer: What answers there too.

    Raises:
        RuntimeError: The address cannot be bound.
    """
    server = grpc.aio.server(
        options=[("grpc.so_reuseport", 0), ("grpc.max_receive_message_length", 1024)]
    )
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    server.add_insecure_port(address)
    return server
