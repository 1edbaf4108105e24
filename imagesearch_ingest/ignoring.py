"""What in a folder is passed over: hidden things, patterns, `.imagesearchignore`."""

from collections.abc import Sequence

from pathspec import GitIgnoreSpec

from imagesearch_ingest.items import SourceError

FILE = ".imagesearchignore"
_MOST_BYTES = 1024 * 1024


class Ignores:
    """Patterns as in .gitignore files, those of deeper folders for what is below them.

    Args:
        patterns: For the whole source.

    Raises:
        SourceError: One is no pattern.
    """

    def __init__(self, patterns: Sequence[str] = ()) -> None:
        self._specs: list[tuple[str, GitIgnoreSpec]] = []
        self._add("", patterns)

    def _add(self, folder: str, patterns: Sequence[str]) -> None:
        if patterns:
            try:
                self._specs.append((folder, GitIgnoreSpec.from_lines(patterns)))
            except ValueError as error:
                raise SourceError(f"{folder}{FILE}: {error}") from error

    def below(self, folder: str, content: bytes) -> "Ignores":
        """These, and those of the file that lies in a folder.

        Args:
            folder: Its path within the source, with a slash at the end; "" for the source itself.
            content: The file.
        """
        more = Ignores()
        more._specs = list(self._specs)
        more._add(folder, content[:_MOST_BYTES].decode(errors="replace").splitlines())
        return more

    def has(self, path: str) -> bool:
        """Whether a path within the source is ignored; that of a folder ends with a slash."""
        return any(
            spec.match_file(path[len(folder) :])
            for folder, spec in self._specs
            if path.startswith(folder)
        )

    def __bool__(self) -> bool:
        return bool(self._specs)
