"""The `imagesearch` command: each module has a topic's commands."""

import typer

from imagesearch_cli import compose, index, search, status, transfer

app = typer.Typer(
    help="Search images by image, and by text in any language.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

index.register(app)
search.register(app)
compose.register(app)
transfer.register(app)
status.register(app)


def main() -> None:
    """Runs the command."""
    app()
