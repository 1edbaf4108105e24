"""Secrets from files, as Docker and Kubernetes mount them: NAME_FILE names the file of NAME."""

import os
from pathlib import Path
from typing import Any, get_args

from pydantic import SecretStr
from pydantic.fields import FieldInfo
from pydantic_settings import PydanticBaseSettingsSource, SettingsError

_MOST_BYTES = 64 * 1024


class SecretFiles(PydanticBaseSettingsSource):
    """Reads each secret setting whose file the environment names.

    Raises:
        SettingsError: A file cannot be read.
    """

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """The value of one setting, from its file."""
        if SecretStr not in (field.annotation, *get_args(field.annotation)):
            return None, field_name, False
        variable = f"{self.config.get('env_prefix', '')}{field_name}_file".upper()
        path = os.environ.get(variable, "")
        return read_secret(Path(path), variable) if path else None, field_name, False

    def __call__(self) -> dict[str, Any]:
        """The settings whose files are named."""
        found = {
            name: self.get_field_value(field, name)[0]
            for name, field in self.settings_cls.model_fields.items()
        }
        return {name: value for name, value in found.items() if value is not None}


def read_secret(file: Path, variable: str) -> str:
    """Reads a secret from a file, without the line break at its end.

    Args:
        file: The file.
        variable: What names it, for the error.

    Raises:
        SettingsError: It cannot be read, or is no text.
    """
    try:
        with file.open("rb") as opened:
            return opened.read(_MOST_BYTES).decode().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{variable}: {file} cannot be read: {error}") from error
