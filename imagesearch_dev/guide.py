"""What `make run` prints at the end: how to go on."""

import shlex

SERVICE = "imagesearch.gateway.v1.ImageSearchService"


def print_guide(
    *,
    logs: str,
    address: str,
    page: str,
    is_default: bool,
    are_samples: bool,
    picture: str,
    text: str,
) -> None:
    """Prints command lines that work now, to copy.

    Args:
        logs: The folder of the logs.
        address: The gateway's.
        page: Address of the page.
        is_default: The gateway's address is the one that the command line takes by default.
        are_samples: The images are the samples, not the user's own.
        picture: An image to search by.
        text: A text to search by.
    """
    file = shlex.quote(picture)
    export = "" if is_default else f"\n  export IMAGESEARCH_GATEWAY={address}"
    own = "Your own pictures instead: make run IMAGES=~/Pictures\n"
    print(
        f"""
Everything runs; Ctrl-C stops it. Search in the browser:

  {page}

In another terminal:

  . .venv/bin/activate{export}
  imagesearch status
  imagesearch search --text "{text}"
  imagesearch search {file}
  imagesearch index ~/Pictures

Nobody is asked for a key: only this machine reaches these addresses. docs/security.md says how
to ask for one.

With grpcurl:

  grpcurl -plaintext {address} list
  grpcurl -plaintext -d '{{"text": "{text}", "k": 3}}' {address} {SERVICE}/SearchByText
  printf '{{"image": "%s", "k": 3}}' "$(base64 < {file} | tr -d '\\n')" |
    grpcurl -plaintext -d @ {address} {SERVICE}/SearchByImage

{own if are_samples else ""}Logs: {logs}
""",
        flush=True,
    )
