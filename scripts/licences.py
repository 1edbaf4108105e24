"""Lists the licences of what is deployed in docs/licences.md: `python scripts/licences.py`.

They are read from the metadata of the installed packages; one that is locked for another system and
not installed here keeps the line it has. `--check` writes nothing: the exit status says whether the
list names every locked package, and none whose licence would bind this project (strong copyleft)
or is not known.
"""

import argparse
import re
import sys
from collections.abc import Mapping
from importlib.metadata import Distribution, PackageNotFoundError, PackagePath, distribution

from lock import ROOT, RUNTIME, locked
from packaging.utils import canonicalize_name

FILE = ROOT / "docs" / "licences.md"

UNKNOWN = "?"

EXCEPTIONS: Mapping[str, str] = {
    "cuda-toolkit": "has nothing but the names of NVIDIA's packages, which are listed themselves",
}
"""Packages that are used although their licence is not one of those below, and why they may be."""

_HEAD = """# Licences of what is deployed

Made by `make licences` from the packages' own metadata; of the roles' locks in
[requirements](../requirements). None of them is under strong copyleft (GPL, AGPL, SSPL):
`make licences` and the tests refuse such, what wheels bundle included. NVIDIA's packages, which
torch brings on Linux, are proprietary; NVIDIA's terms let them be passed on with an application.

| package | licence | roles |
| --- | --- | --- |
"""

_STRONG = re.compile(
    r"(?<![A-Za-z])(AGPL|GPL|GNU (Affero )?General Public|SSPL|Server Side Public|EUPL|OSL-|"
    r"Commons Clause|BUSL|Elastic License)",
    re.IGNORECASE,
)
_BUNDLED = re.compile(r"^License: (\S.*)$", re.MULTILINE)
_PREFIX = "License :: "
_LINE = re.compile(r"\| (\S+) \| (.*) \| (.*) \|")


def licence_of(package: Distribution) -> str:
    """The licence that a package declares: an SPDX expression, classifiers, or a name."""
    told = package.metadata
    if expression := told.get("License-Expression"):
        return str(expression)
    classifiers = [
        each.rpartition(" :: ")[2]
        for each in told.get_all("Classifier") or ()
        if each.startswith(_PREFIX) and each != "License :: OSI Approved"
    ]
    if classifiers:
        return "; ".join(dict.fromkeys(classifiers))
    name = (told.get("License") or "").strip()
    return name.splitlines()[0][:80] if name else UNKNOWN


def bundled_with(package: Distribution) -> set[str]:
    """The licences of libraries that a wheel brings, where it lists them."""
    files = [
        file for file in package.files or () if ".dist-info" in str(file) and "LICENSE" in file.name
    ]
    return {name for file in files for name in _BUNDLED.findall(_text(file))}


def _text(file: PackagePath) -> str:
    return file.read_binary().decode(errors="replace")


def binds(licence: str) -> bool:
    """Whether a licence would bind what is linked with it, whichever alternative is taken."""
    without_exceptions = re.sub(r"\S*GPL\S* WITH \S+", "", licence, flags=re.IGNORECASE)
    alternatives = re.split(r"\s+OR\s+", without_exceptions)
    return all(_STRONG.search(each) for each in alternatives)


def roles_of() -> dict[str, list[str]]:
    """Every deployed package, by name, with the roles that have it."""
    found: dict[str, list[str]] = {}
    for role in RUNTIME:
        for requirement in locked(role):
            roles = found.setdefault(canonicalize_name(requirement.name), [])
            if role not in roles:
                roles.append(role)
    return dict(sorted(found.items()))


def listed() -> dict[str, str]:
    """The licences that the file has now."""
    if not FILE.exists():
        return {}
    lines = FILE.read_text(encoding="utf-8").splitlines()
    found = (_LINE.fullmatch(line) for line in lines)
    return {match[1]: match[2] for match in found if match and match[1] not in ("package", "---")}


def read() -> dict[str, str]:
    """The licences of every deployed package, as installed here, or else as listed before."""
    before, found = listed(), {}
    for name in roles_of():
        try:
            package = distribution(name)
            strong = [each for each in sorted(bundled_with(package)) if binds(each)]
            found[name] = " AND ".join([licence_of(package), *strong]).replace("|", "/")
        except PackageNotFoundError:
            found[name] = before.get(name, UNKNOWN)
    return found


def complaints(licences: Mapping[str, str]) -> list[str]:
    """What is wrong with a list of licences."""
    wrong = [f"{name} is locked and not listed" for name in roles_of().keys() - licences.keys()]
    wrong += [f"{name} is listed and not locked" for name in licences.keys() - roles_of().keys()]
    for name, licence in licences.items():
        if name not in EXCEPTIONS and licence == UNKNOWN:
            wrong.append(f"{name} has no licence that is known")
        elif name not in EXCEPTIONS and binds(licence):
            wrong.append(f"{name} is under {licence}")
    return sorted(wrong)


def main() -> None:
    """Writes, or checks."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="only say whether the list is right")
    licences = listed() if parser.parse_args().check else read()
    if wrong := complaints(licences):
        sys.exit("\n".join(wrong))
    roles = roles_of()
    rows = [
        f"| {name} | {licence} | {', '.join(roles[name])} |" for name, licence in licences.items()
    ]
    FILE.write_text(_HEAD + "\n".join(rows) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
