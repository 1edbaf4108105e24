"""Tags, caption and attributes from an image's path, by a pattern of the user's."""

import re

from imagesearch_ingest.items import Facts, SourceError

_NAME = re.compile(r"\{([^{}]*)\}")
_FIELDS = {"tag", "caption", "url", "page_url", "image_name"}
_ATTRIBUTE = "attributes."


class PathPattern:
    """A pattern such as "{tag}/{caption}.jpg".

    `{tag}` may occur several times; `{attributes.KEY}` is an attribute; `{}` and `*` stand for
    anything without a slash, `**` for anything. The pattern matches the end of the path; a last
    suffix in it stands for any suffix. In captions `_` and `-` become spaces.

    Raises:
        SourceError: It names something else.
    """

    def __init__(self, pattern: str) -> None:
        self._fields: list[str] = []
        body = re.sub(r"\.\w+$", ".*", pattern)
        parts: list[str] = []
        place = 0
        for found in _NAME.finditer(body):
            name = found[1]
            if name and name not in _FIELDS and not name.startswith(_ATTRIBUTE):
                allowed = ", ".join(sorted(_FIELDS))
                raise SourceError(f"--pattern: {{{name}}} is none of {allowed}, attributes.KEY")
            parts += [_literal(body[place : found.start()]), "([^/]+?)"]
            self._fields.append(name)
            place = found.end()
        parts.append(_literal(body[place:]))
        self._pattern = re.compile("(?:^|/)" + "".join(parts) + "$")

    def facts(self, path: str) -> Facts:
        """Reads a path; one that does not match says nothing."""
        match = self._pattern.search(path)
        if match is None:
            return Facts()
        tags: list[str] = []
        said: dict[str, str] = {}
        attributes: dict[str, str] = {}
        for name, value in zip(self._fields, match.groups(), strict=True):
            if name == "tag":
                tags.append(value)
            elif name == "caption":
                said[name] = re.sub(r"[_-]+", " ", value).strip()
            elif name.startswith(_ATTRIBUTE):
                attributes[name.removeprefix(_ATTRIBUTE)] = value
            elif name:
                said[name] = value
        return Facts(**said, tags=tuple(tags), attributes=attributes)  # type: ignore[arg-type]


def _literal(text: str) -> str:
    pieces = re.split(r"(\*\*|\*)", text)
    return "".join({"**": ".*", "*": "[^/]*"}.get(piece, re.escape(piece)) for piece in pieces)
