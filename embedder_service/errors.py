"""Errors of this service that clients may see.

    ServiceError
    ├── RetryableError
    │   └── QueueFullError      RESOURCE_EXHAUSTED, with RetryInfo
    ├── ComputeError            INTERNAL: this one input made the model fail
    └── ModelNotFoundError      NOT_FOUND

What is wrong with one input is an InvalidRequestError, or an ImageError of image_kit.
"""

from datetime import timedelta

import grpc

from service_kit.errors import RetryableError, ServiceError


class QueueFullError(RetryableError):
    """There is no room for the inputs now; nothing of the call was begun."""

    code = grpc.StatusCode.RESOURCE_EXHAUSTED
    reason = "QUEUE_FULL"

    def __init__(self, waiting: int, retry_after: timedelta) -> None:
        super().__init__(f"the queue is full: {waiting} inputs are waiting", retry_after)


class ComputeError(ServiceError):
    """The model failed on this input, alone. The log says how; the caller cannot mend it."""

    code = grpc.StatusCode.INTERNAL
    reason = "COMPUTE_FAILED"

    def __init__(self) -> None:
        super().__init__("the input could not be computed; see the server's log")


class ModelNotFoundError(ServiceError):
    """No loaded model has this name."""

    code = grpc.StatusCode.NOT_FOUND
    reason = "MODEL_NOT_FOUND"

    def __init__(self, name: str) -> None:
        super().__init__(f"no model named {name!r} is loaded; ListModels lists those that are")
