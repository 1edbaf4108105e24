"""What `make run` prints at the end: how to go on."""

import shlex

SERVICE = "imagesearch.gateway.v1.ImageSearchService"


def print_guide(logs: str, are_samples: bool, picture: str, text: str) -> None:
    """Prints command lines that work now, to copy.

    Args:
        logs: The folder of the logs.
        are_samples: The images are the samples, not the user's own.
        picture: An image to search by.
        text: A text to search by.
    """
    file = shlex.quote(picture)
    own = "Your own pictures instead: make run IMAGES=~/Pictures\n"
    print(
        f"""
Everything runs; Ctrl-C stops it. In another terminal:

  . .venv/bin/activate
  imagesearch status
  imagesearch search --text "{text}"
  imagesearch search {file}
  imagesearch index ~/Pictures

With grpcurl:

  grpcurl -plaintext 127.0.0.1:50050 list
  grpcurl -plaintext -d '{{"text": "{text}", "k": 3}}' 127.0.0.1:50050 {SERVICE}/SearchByText
  printf '{{"image": "%s", "k": 3}}' "$(base64 < {file} | tr -d '\\n')" |
    grpcurl -plaintext -d @ 127.0.0.1:50050 {SERVICE}/SearchByImage

{own if are_samples else ""}Logs: {logs}
""",
        flush=True,
    )
