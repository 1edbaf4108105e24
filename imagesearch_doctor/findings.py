"""What checks say."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How bad a finding is."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True)
class Finding:
    """Something that was found.

    Attributes:
        level: How bad it is. A problem is what keeps something from working.
        subject: What it is about, e.g. "gateway" or "index photos".
        what: What is so, for a person.
        advice: What to do about it; "" where nothing is to be done.
    """

    level: Level
    subject: str
    what: str
    advice: str = ""


@dataclass(frozen=True)
class Checked:
    """What one check has found.

    Attributes:
        name: Of the check, e.g. "certificates".
        findings: May be empty: there was nothing to look at.
    """

    name: str
    findings: Sequence[Finding]


def ok(subject: str, what: str) -> Finding:
    """Says that something is as it should be."""
    return Finding(Level.OK, subject, what)


def warning(subject: str, what: str, advice: str) -> Finding:
    """Says that something works, and may soon or under load not."""
    return Finding(Level.WARNING, subject, what, advice)


def problem(subject: str, what: str, advice: str) -> Finding:
    """Says that something does not work."""
    return Finding(Level.PROBLEM, subject, what, advice)


def count(checked: Iterable[Checked], level: Level) -> int:
    """How many findings are of a level."""
    return sum(finding.level is level for each in checked for finding in each.findings)
