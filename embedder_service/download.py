"""Brings the models of the settings onto this machine: `python -m embedder_service.download`.

For places where the service itself reaches no hub: the two share a folder, HF_HOME.
"""

import sys

import structlog

from embedder_service.model_files import find
from embedder_service.settings import Settings
from service_kit.server import StartError
from service_kit.settings import read
from service_kit.telemetry import configure_logging

log = structlog.get_logger()


def main() -> None:
    """Exits with 0 when all of them are there and can be loaded safely, else with 1."""
    settings = read(Settings)
    configure_logging(settings.log_level, settings.log_format, "embedder_service")
    try:
        for model in dict.fromkeys(model for pair in settings.pairs() for model in pair):
            files = find(model, settings.hub_timeout_s)
            log.info("model_is_there", name=files.name, folder=str(files.folder))
    except StartError as error:
        log.error("model_is_not_there", why=str(error))
        sys.exit(1)


if __name__ == "__main__":
    main()
