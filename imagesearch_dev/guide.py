"""What `make run` prints at the end: how to go on."""

from pathlib import Path

PROTO = "imagesearch.gateway.v1.ImageSearchService"


def print_guide(folder: Path, images: Path, are_samples: bool, picture: str, text: str) -> None:
    """Prints command lines that work now, to copy.

    Args:
        folder: Where data and logs are.
        images: The folder that was indexed.
        are_samples: The images are the samples, not the user's own.
        picture: Path of an image to search by.
        text: A text to search by.
    """
    own = "  make run IMAGES=~/Pictures                  your own pictures instead\n"
    print(
        f"""
Everything runs; Ctrl-C stops it. In another terminal:

  . .venv/bin/activate
  imagesearch status
  imagesearch search --text "{text}"
  imagesearch search {picture}
  imagesearch index ~/Pictures

With grpcurl:

  grpcurl -plaintext 127.0.0.1:50050 list
  grpcurl -plaintext -d '{{"text": "{text}", "k": 3}}' 127.0.0.1:50050 {PROTO}/SearchByText
  printf '{{"image": "%s", "k": 3}}' "$(base64 < {picture} | tr -d '\\n')" |
    grpcurl -plaintext -d @ 127.0.0.1:50050 {PROTO}/SearchByImage

{own if are_samples else ""}  Pictures: {images}
  Logs:     {folder / "logs"}
""",
        flush=True,
    )
