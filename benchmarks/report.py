"""What every benchmark prints and writes: bars, their values, and whether they hold."""

import argparse
import json
import os
import platform
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Bar:
    """What was asked for, and what was found.

    Attributes:
        name: What is compared.
        value: The ratio found; None if it could not be measured here.
        bound: What it must not be below, or above.
        at_least: The bound is a lower one.
        note: How to read it, or why it was not measured.
    """

    name: str
    value: float | None
    bound: float
    at_least: bool = True
    note: str = ""

    @property
    def holds(self) -> bool | None:
        """Whether the bar holds; None if it was not measured."""
        if self.value is None:
            return None
        return self.value >= self.bound if self.at_least else self.value <= self.bound


@dataclass
class Report:
    """Everything one run found.

    Attributes:
        benchmark: Its name.
        bars: In the order they were measured.
        figures: What the ratios are made of, and what explains them.
    """

    benchmark: str
    quick: bool
    bars: list[Bar] = field(default_factory=list)
    figures: dict[str, Any] = field(default_factory=dict)

    def add(self, bar: Bar) -> None:
        """Notes a bar and prints it."""
        self.bars.append(bar)
        verdict = {True: "holds", False: "MISSED", None: "not measured"}[bar.holds]
        sign = ">=" if bar.at_least else "<="
        value = "-" if bar.value is None else f"{bar.value:.3f}"
        print(
            f"  {bar.name:<66} {value:>8}  {sign} {bar.bound:<5} {verdict}  {bar.note}", flush=True
        )

    def note(self, name: str, value: Any) -> None:
        """Notes a figure and prints it."""
        self.figures[name] = value
        shown = f"{value:.2f}" if isinstance(value, float) else value
        print(f"  {name}: {shown}", flush=True)

    def write(self, file: Path | None) -> None:
        """Writes everything as JSON, if a file is wanted."""
        if file is None:
            return
        content = {
            "benchmark": self.benchmark,
            "quick": self.quick,
            "machine": {"cpus": os.cpu_count(), "arch": platform.machine(), "python": sys.version},
            "bars": [{**asdict(bar), "holds": bar.holds} for bar in self.bars],
            "figures": self.figures,
        }
        file.write_text(json.dumps(content, indent=2), encoding="utf-8")


def parser(name: str, description: str | None) -> argparse.ArgumentParser:
    """The options that every benchmark has."""
    made = argparse.ArgumentParser(prog=f"benchmarks.{name}", description=description)
    made.add_argument("--quick", action="store_true", help="smaller sizes; a few minutes")
    made.add_argument("--json", type=Path, metavar="FILE", help="write the results there")
    return made
