"""Serves the page and its JSON API over HTTP: `python -m imagesearch_web --help`."""

from imagesearch_web.server import serve
from imagesearch_web.settings import Settings
from service_kit.server import run

if __name__ == "__main__":
    run(serve, Settings, "imagesearch_web")
