"""Serves the page and its JSON API over HTTP: `python -m imagesearch_web --help`."""

from imagesearch_web.server import serve
from imagesearch_web.settings import Settings
from service_kit.server import run
from service_kit.settings import read

if __name__ == "__main__":
    run(serve, read(Settings), "imagesearch_web")
