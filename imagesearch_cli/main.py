"""The `imagesearch` command: each module has a topic's commands."""

import typer

from imagesearch_cli import (
    classification,
    collect,
    compose,
    duplicates,
    encryption,
    index,
    search,
    status,
    tagging,
    transfer,
    versions,
)

app = typer.Typer(
    help="Search images by image, and by text in any language.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

app.callback()(encryption.choose)
index.register(app)
app.add_typer(collect.app, name="collect")
search.register(app)
classification.register(app)
tagging.register(app)
compose.register(app)
versions.register(app)
duplicates.register(app)
transfer.register(app)
status.register(app)


def main() -> None:
    """Runs the command."""
    app()
