"""Names that health is asked for by, beside those of the gRPC services."""

LIVENESS = "liveness"
"""SERVING as long as the process answers and takes calls, whatever it depends on."""
