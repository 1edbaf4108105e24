"""Names that every part agrees on: of indexes, of images, of the default index."""

import re

from service_kit.errors import Violations
from service_kit.identity.callers import DEFAULT_INDEX as DEFAULT_INDEX

MAX_INDEX_NAME_BYTES = 200

_INDEX = re.compile(r"[a-z0-9][a-z0-9._-]*")
_PHYSICAL = re.compile(r".*-\d{6}")
_IMAGE_ID = re.compile(r"[0-9a-f]{64}")


def check_index_name(name: str, field: str, wrong: Violations) -> str:
    """Gives the name of an index, the default one if it is empty; notes what is wrong with it."""
    if not name:
        return DEFAULT_INDEX
    if len(name.encode()) > MAX_INDEX_NAME_BYTES:
        wrong.add(field, f"has more than {MAX_INDEX_NAME_BYTES} bytes")
    elif not _INDEX.fullmatch(name) or _PHYSICAL.fullmatch(name):
        what = "is not a name: lower-case letters, digits, '-', '_', '.', not ending like '-000001'"
        wrong.add(field, what)
    return name


def index_name(name: str, field: str = "index") -> str:
    """Gives the name of an index, the default one if it is empty.

    Raises:
        InvalidRequestError: No index can have this name.
    """
    wrong = Violations()
    checked = check_index_name(name, field, wrong)
    wrong.raise_if_any()
    return checked


def check_image_id(image_id: str, field: str, wrong: Violations) -> None:
    """Notes whether this cannot be an image's id: SHA-256 of its bytes, in hex."""
    if not _IMAGE_ID.fullmatch(image_id):
        wrong.add(field, "is not an image id: 64 lower-case hex digits")
