"""Where `make run` puts the page."""

from __future__ import annotations

import socket

import pytest

from imagesearch_dev import stack


def port_of(*arguments: str) -> int:
    return stack._page_port(stack._parse(arguments))


def test_the_page_takes_the_first_free_port(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        first: int = taken.getsockname()[1]
        monkeypatch.setattr(stack, "PAGE_PORTS", range(first, first + 20))

        assert first < port_of() < first + 20


def test_another_port_of_the_gateway_moves_the_page_too(free_port: int) -> None:
    assert port_of("--port", str(free_port - 3)) == free_port
    assert port_of("--page-port", str(free_port)) == free_port


def test_a_port_that_is_named_and_taken_is_said() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        pytest.raises(stack.StackError, match="--page-port"),
    ):
        port_of("--page-port", str(taken.getsockname()[1]))
