"""What a deployment hands to our services, compared with what they know."""

import importlib
from pathlib import Path
from typing import get_args

import pytest
from pydantic import SecretStr
from pydantic_settings import BaseSettings

ROOT = Path(__file__).resolve().parents[1]

SERVICES = ("embedder_service", "gateway", "imagesearch_web", "search_service")
OTHERS = {"HF_HOME", "HF_HUB_OFFLINE"}
"""Variables of libraries."""


def settings_class(service: str) -> type[BaseSettings]:
    found: type[BaseSettings] = importlib.import_module(f"{service}.settings").Settings
    return found


def known_variables(service: str) -> dict[str, bool]:
    """Every variable that a service reads, and whether it names a file of a secret."""
    settings = settings_class(service)
    prefix = settings.model_config["env_prefix"]
    known: dict[str, bool] = {}
    for name, field in settings.model_fields.items():
        alias = field.validation_alias
        choices = getattr(alias, "choices", None) or [f"{prefix}{name}"]
        known |= {str(choice).upper(): False for choice in choices}
        if SecretStr in (field.annotation, *get_args(field.annotation)):
            known[f"{prefix}{name}_file".upper()] = True
    return known


def settings_given(
    service: str, environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> BaseSettings:
    """Reads the settings as the service would; fails on a name it does not know."""
    known = known_variables(service)
    unknown = environment.keys() - known.keys() - OTHERS
    assert not unknown, f"{service} has no setting for {unknown}"
    secret = tmp_path / "secret"
    secret.write_text("secret")
    for name, value in environment.items():
        monkeypatch.setenv(name, str(secret) if known.get(name) else value)
    return settings_class(service)()
