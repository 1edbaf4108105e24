"""Scans that were begun, kept in the image store: any gateway can go on with them."""

import re
import secrets
from datetime import UTC, datetime, timedelta

import structlog

from gateway.duplicates.state import ScanState, StateError, decoded, encoded
from gateway.store import ImageStore

log = structlog.get_logger()

KEPT = timedelta(days=1)
"""How long a scan is kept after it was last worked on."""

_FOLDER = "scans"
_ID = re.compile(r"[0-9a-f]{32}")


def new_id() -> str:
    """A name that no other scan has."""
    return secrets.token_hex(16)


def is_id(text: str) -> bool:
    """Whether this can be the name of a scan."""
    return _ID.fullmatch(text) is not None


class Scans:
    """Reads and writes how far scans are.

    Args:
        store: Keeps the files.
        save_interval_s: How often to write down how far a scan is.
    """

    def __init__(self, store: ImageStore, save_interval_s: float) -> None:
        self._store = store
        self.save_interval_s = save_interval_s

    async def load(self, index: str, scan_id: str) -> ScanState | None:
        """How far a scan is; None if there is none of that name, or not any more.

        Raises:
            UnavailableError: The store does not work.
        """
        data = await self._store.load_note(index, _FOLDER, scan_id)
        if data is None:
            return None
        try:
            return decoded(data)
        except StateError as error:
            log.warning("scan_unreadable", index=index, scan_id=scan_id, error=str(error))
            return None

    async def save(self, index: str, state: ScanState) -> None:
        """Writes down how far a scan is; returns when that is safe.

        Raises:
            StoreFullError: There is no room.
            UnavailableError: The store does not work.
        """
        await self._store.save_note(index, _FOLDER, state.scan_id, encoded(state))

    async def delete(self, index: str, scan_id: str) -> None:
        """Forgets a scan.

        Raises:
            UnavailableError: The store does not work.
        """
        await self._store.delete_note(index, _FOLDER, scan_id)

    async def sweep(self, index: str) -> None:
        """Forgets the scans of an index that nobody has worked on for a day.

        Raises:
            UnavailableError: The store does not work.
        """
        for name, written_at in (await self._store.notes(index, _FOLDER)).items():
            if datetime.now(UTC) - written_at > KEPT:
                await self._store.delete_note(index, _FOLDER, name)
