"""The `imagesearch` command: each module has a topic's commands."""

import typer

from imagesearch_cli import (
    classification,
    collect,
    compose,
    credentials,
    doctor,
    duplicates,
    encryption,
    index,
    keys,
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


@app.callback()
def before_the_command(
    api_key: credentials.ApiKey = "",
    api_key_file: credentials.ApiKeyFile = None,
    tls: encryption.Tls = False,
    tls_ca: encryption.Authorities = None,
    tls_certificate: encryption.Certificate = None,
    tls_key: encryption.PrivateKey = None,
    tls_name: encryption.ServerName = "",
) -> None:
    """Takes the options that all commands have."""
    credentials.use(api_key, api_key_file)
    encryption.choose(tls, tls_ca, tls_certificate, tls_key, tls_name)


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
doctor.register(app)
app.add_typer(keys.app, name="keys")


def main() -> None:
    """Runs the command."""
    app()
