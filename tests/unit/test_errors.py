"""service_kit.errors: statuses that clients can read, and what passes from service to service."""

from collections.abc import Iterator
from datetime import timedelta

import grpc
import pytest
from google.rpc import status_pb2

from gateway.errors import relocated
from service_kit import deadlines
from service_kit.errors import (
    DeadlineError,
    InvalidRequestError,
    RemoteBugError,
    RemoteError,
    RemoteRefusalError,
    StoppingError,
    UnavailableError,
    Violations,
    from_status,
)
from service_kit.workers import Workers
from tests.helpers import Refusal


def test_everything_that_is_wrong_is_said_at_once() -> None:
    wrong = Violations()
    wrong.add("k", "is 0")
    wrong.add("fields[1]", "is unknown")

    with pytest.raises(InvalidRequestError) as caught:
        wrong.raise_if_any()

    refused = Refusal(caught.value.to_status())
    assert refused.code is grpc.StatusCode.INVALID_ARGUMENT
    assert refused.reason == "INVALID_REQUEST"
    assert refused.fields == ["k", "fields[1]"]
    assert refused.message == "k: is 0; fields[1]: is unknown"


def test_nothing_wrong_raises_nothing() -> None:
    Violations().raise_if_any()


def test_what_passes_says_when_to_come_back() -> None:
    refused = Refusal(UnavailableError("away", timedelta(seconds=2)).to_status())

    assert (refused.code, refused.retry) == (grpc.StatusCode.UNAVAILABLE, True)
    assert Refusal(StoppingError().to_status()).reason == "STOPPING"


def test_what_another_service_says_of_the_request_is_passed_on_as_it_is() -> None:
    status = InvalidRequestError([("vector", "has NaN")]).to_status()

    error = from_status(status)

    assert isinstance(error, RemoteError)
    assert error.code is grpc.StatusCode.INVALID_ARGUMENT
    assert error.to_status() == status


@pytest.mark.parametrize("code", [grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN])
def test_a_bug_of_another_service_is_not(code: grpc.StatusCode) -> None:
    status = status_pb2.Status(code=code.value[0], message="Traceback: secret")

    assert isinstance(from_status(status), RemoteBugError)


@pytest.mark.parametrize(
    "code", [grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED]
)
def test_that_another_service_refuses_us_is_told_apart_and_not_passed_on(
    code: grpc.StatusCode,
) -> None:
    error = from_status(status_pb2.Status(code=code.value[0], message="not you"))

    assert isinstance(error, RemoteRefusalError)
    assert isinstance(error, RemoteBugError)
    assert error.code is code


def test_fields_of_another_service_are_renamed_to_the_callers() -> None:
    status = InvalidRequestError([("inputs[0].image", "is empty"), ("k", "is 0")]).to_status()

    refused = Refusal(relocated(status, [("inputs[0].image", "image.content")]))

    assert refused.fields == ["image.content", "k"]
    assert refused.message == "image.content: is empty; k: is 0"


class TestDeadlines:
    @pytest.fixture(autouse=True)
    def for_no_other_test(self) -> Iterator[None]:
        yield
        deadlines.begin(None)

    def test_without_a_deadline_the_cap_holds(self) -> None:
        deadlines.begin(None)

        assert deadlines.remaining(7) == 7

    def test_a_call_onwards_ends_before_the_caller_gives_up(self) -> None:
        deadlines.begin(5)

        assert 4 < deadlines.remaining(30) < 5
        assert deadlines.remaining(2) == 2

    def test_of_a_short_time_little_is_kept_back(self) -> None:
        """Else calls of less than the margin could never be answered."""
        deadlines.begin(0.04)

        assert 0.02 < deadlines.remaining(30) <= 0.036

    def test_what_is_over_is_not_begun(self) -> None:
        deadlines.begin(0)

        with pytest.raises(DeadlineError):
            deadlines.check("it was begun")

    def test_what_has_no_deadline_is_never_over(self) -> None:
        deadlines.begin(None)

        deadlines.check("it was begun")

    async def test_nothing_is_done_in_a_thread_whose_time_was_over_before_it_was_free(self) -> None:
        begun: list[int] = []
        async with Workers("test", 1) as workers:
            for seconds in (0, 60):
                deadlines.begin(seconds)
                try:
                    await workers.run(begun.append, seconds)
                except DeadlineError:
                    begun.append(-1)

        assert begun == [-1, 60]

    def test_nothing_left_is_not_less_than_nothing(self) -> None:
        deadlines.begin(0)

        assert deadlines.remaining(30) == 0
