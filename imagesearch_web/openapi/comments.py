"""What the contracts say of their messages and fields.

Generated code has no comments, so they are read from the .proto files, which lie beside it.
"""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

_BLOCK = re.compile(r"(message|enum|oneof|service) (\w+) \{")
_FIELD = re.compile(r"(?:(?:repeated|optional) )?(?:map<[^>]+>|[\w.]+) (\w+) = \d+")
_RPC = re.compile(r"rpc (\w+)\(")
_VALUE = re.compile(r"(\w+) = \d+")


def comments(files: Iterable[Path]) -> Mapping[str, str]:
    """Gives the comment before each message, enum, field, value and RPC, by its full name.

    The files are formatted as ours are: a declaration a line, blocks opened at the end of one.
    """
    found: dict[str, str] = {}
    for file in files:
        _read(file.read_text(encoding="utf-8"), found)
    return found


def _read(text: str, found: dict[str, str]) -> None:
    package = re.search(r"^package ([\w.]+);", text, re.MULTILINE)
    around: list[str] = [package[1]] if package else []
    said: list[str] = []
    for line in map(str.strip, text.splitlines()):
        if line.startswith("//"):
            said.append(line.removeprefix("//").strip())
            continue
        if block := _BLOCK.match(line):
            # A oneof's fields belong to the message.
            around.append("" if block[1] == "oneof" else block[2])
            _note(around, said, found)
        elif (field := _FIELD.match(line) or _VALUE.match(line) or _RPC.match(line)) and len(
            around
        ) > 1:
            _note([*around, field[1]], said, found)
        if not block and line.endswith("{"):  # an RPC with options: nothing in it has a name
            around.append("")
        if line.endswith("}") and len(around) > 1:
            around.pop()
        said = []


def _note(path: Iterable[str], said: list[str], found: dict[str, str]) -> None:
    if said:
        found[".".join(part for part in path if part)] = " ".join(said)
