"""`imagesearch status`."""

import typer
from imagesearch.gateway.v1 import image_search_service_pb2 as pb

from imagesearch_cli import render
from imagesearch_cli.connection import connected
from imagesearch_cli.options import ADDRESS, AsJson, Gateway, Index, Timeout, print_json, run


def status(
    index: Index = "",
    gateway: Gateway = ADDRESS,
    timeout: Timeout = 10.0,
    as_json: AsJson = False,
) -> None:
    """Say which parts answer, what they run, and how much the index holds.

    Exit status: 0 all parts serve, 3 one is away.
    """

    async def work() -> pb.GetStatusResponse:
        async with connected(gateway, timeout) as client:
            return await client.get_status(index=index)

    response = run(work())
    if as_json:
        print_json(response)
    else:
        render.status(response)
    if not all(component.serving for component in response.components):
        raise typer.Exit(3)


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command()(status)
