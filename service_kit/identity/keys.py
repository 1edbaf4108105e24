"""API keys: `isk_ID_SECRET`. The id names a key in files and logs; the secret is shown once.

Kept is the SHA-256 of the whole. Slow, salted hashes are for passwords, which can be guessed: the
secret is 256 random bits, and NIST SP 800-63B (look-up secrets) asks no more than an approved
one-way function from 112 bits on. It is computed at every call, so it should be fast.
"""

import hashlib
import re
import secrets

_KEY = re.compile(r"isk_([0-9a-f]{12})_[A-Za-z0-9_-]{43}")

PREFIX = "isk_"


def new() -> tuple[str, str]:
    """Makes a key; gives its id, and the key itself."""
    key_id = secrets.token_hex(6)
    return key_id, f"{PREFIX}{key_id}_{secrets.token_urlsafe(32)}"


def id_of(key: str) -> str | None:
    """The id in a key; None if it is not of this form."""
    found = _KEY.fullmatch(key)
    return found and found[1]


def digest(key: str) -> str:
    """What is kept of a key: 64 hex digits."""
    return hashlib.sha256(key.encode()).hexdigest()
