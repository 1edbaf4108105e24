"""service_kit.pace: how many calls may be in flight, from how fast they end."""

from service_kit.pace import Pace


def busy(pace: Pace, a_second: float, seconds: float, now: float = 100.0) -> float:
    """As many are in flight as may be, one is refused for each that ends; gives the time after."""
    end = now + seconds
    while now < end:
        pace.full(now)
        now += 1 / a_second
        pace.ended(pace.limit - 1, now, True)
    return now


def test_calls_in_flight_are_as_many_as_are_answered_in_the_time() -> None:
    pace = Pace(64, 512, 3.0)

    busy(pace, 20.0, 10)

    assert pace.rate is not None
    assert 19 < pace.rate < 21
    assert 57 <= pace.limit <= 63


def test_a_slow_server_takes_few_but_never_less_than_keep_it_busy() -> None:
    pace = Pace(64, 512, 3.0)

    busy(pace, 1.0, 60)

    assert pace.limit == 8


def test_a_fast_server_takes_no_more_than_is_allowed() -> None:
    pace = Pace(64, 512, 3.0)

    busy(pace, 1000.0, 3)

    assert pace.limit == 512


def test_a_server_that_has_become_faster_takes_more() -> None:
    pace = Pace(64, 512, 3.0)
    now = busy(pace, 5.0, 30)
    assert pace.limit < 20

    busy(pace, 100.0, 5, now)

    assert pace.limit >= 290


def test_few_callers_say_nothing_of_the_server() -> None:
    """Else one call a second would leave room for three."""
    pace = Pace(64, 512, 3.0)
    pace.full(100.0)

    for second in range(100):
        pace.ended(1, 100.0 + second, True)

    assert pace.limit == 64
    assert pace.rate is None


def test_without_a_bound_of_time_only_the_number_counts() -> None:
    pace = Pace(64, 512, 0)

    busy(pace, 1.0, 60)

    assert pace.limit == 512
    assert pace.rate is not None


def test_calls_that_come_to_the_end_of_their_time_do_not_make_a_server_fast() -> None:
    """Else it would go on to take more than it can answer."""
    pace = Pace(64, 512, 2.0)
    pace.full(100.0)

    for number in range(1, 1001):  # a hundred end in a second, and ten of them are answered
        pace.ended(60, 100.0 + number / 100, number % 10 == 0)

    assert 15 <= pace.limit <= 22
