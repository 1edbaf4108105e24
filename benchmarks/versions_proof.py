"""The proof that two pictures are the same, alone: recall, relations, boxes, mistakes, cost."""

import io
import os
import random
import statistics
import time
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks import versions_pictures as pictures
from benchmarks.picture_versions import STRONGEST_BLUR, VERSIONS, Made, is_grey
from benchmarks.report import Bar, Report
from gateway.proof.boxes import Box
from gateway.proof.comparing import Comparison, compare
from gateway.proof.features import WORKING_SIDE, Features, Picture, features

_DRAWINGS = 200
_CHUNK = 500
_TIMED = 100
_BOXES = {
    "query_box": ("crop to 50 % area", "crop to 25 % area"),
    "image_box": ("wider", "border", "collage 2x2", "screenshot"),
    "changed_box": ("watermark", "text overlay", "sticker"),
}


@dataclass
class Case:
    """A pair that is the same picture."""

    source: str
    version: str
    made: Made
    query: Features
    image: Features


@dataclass
class Outcome:
    """What was found of one version of all pictures."""

    count: int = 0
    found: int = 0
    right: int = 0
    named: int = 0
    overlaps: list[float] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)
    misnamed: list[str] = field(default_factory=list)


def measure(report: Report, folder: Path | None, pairs: int) -> None:
    """Measures everything.

    Args:
        report: Where it goes.
        folder: Where more photos are, or None.
        pairs: How many pairs that are not the same picture.
    """
    sources = pictures.distinct(folder)
    report.note("distinct photos", len(sources))
    cases, library = _cases(sources)
    report.note("pairs of a photo and a version", len(cases))
    _recall(report, cases)
    _add_strangers(library)
    wrong, other_seconds = _non_pairs(report, library, pairs)
    report.add(
        Bar("false positives among non-pairs", float(wrong), 0.0, at_least=False, note=f"{pairs}")
    )
    _look_alikes(report)
    _cost(report, cases, other_seconds)


def stored(image: Image.Image) -> Picture:
    """A picture as the image store keeps it: a thumbnail, JPEG."""
    small = _fitting(image)
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=85)
    with Image.open(buffer) as opened:
        return Picture(np.asarray(opened.convert("RGB")), image.width, image.height)


def sent(image: Image.Image) -> Picture:
    """A picture as a query is decoded."""
    return Picture(np.asarray(_fitting(image)), image.width, image.height)


def _fitting(image: Image.Image) -> Image.Image:
    small = image.convert("RGB")
    small.thumbnail((WORKING_SIDE, WORKING_SIDE), Image.Resampling.LANCZOS, reducing_gap=3.0)
    return small


@dataclass
class _Entry:
    """A picture among the non-pairs."""

    shows: frozenset[str]
    features: Features


def _cases(sources: dict[str, Image.Image]) -> tuple[list[Case], list[_Entry]]:
    cases, library = [], []
    names = list(sources)
    for place, (name, image) in enumerate(sources.items()):
        query = features(sent(image))
        library.append(_Entry(frozenset([name]), query))
        beside = [names[(place + step) % len(names)] for step in (1, 2, 3)]
        others = [sources[other] for other in beside]
        for version, make in VERSIONS.items():
            if version == "greyscale" and is_grey(image):
                continue
            made = make(image, random.Random(f"{name} {version}"), others)
            asked = query if made.original is None else features(sent(made.original))
            seen = features(stored(made.image))
            cases.append(Case(name, version, made, asked, seen))
            shows = {name}
            if version in ("collage 2x2", "sticker"):
                shows |= set(beside)
            library.append(_Entry(frozenset(shows), seen))
    return cases, library


def _recall(report: Report, cases: list[Case]) -> None:
    outcomes: dict[str, Outcome] = defaultdict(Outcome)
    for case in cases:
        _judge(outcomes[case.version], case, compare(case.query, case.image))
    for version, outcome in outcomes.items():
        recall = outcome.found / outcome.count
        note = f"of {outcome.count}; missed: {', '.join(outcome.missed) or 'none'}"
        if version == STRONGEST_BLUR:
            report.note(f"recall, {version}", f"{recall:.3f} {note}")
        else:
            report.add(Bar(f"recall, {version}", recall, 0.95, note=note))
    for version, outcome in outcomes.items():
        right = outcome.right / max(1, outcome.found)
        bar = Bar(
            f"relation first, {version}", right, 0.9, note=f"else: {'; '.join(outcome.misnamed)}"
        )
        if version == STRONGEST_BLUR:
            report.note(bar.name, f"{right:.3f} {bar.note}")
        else:
            report.add(bar)
        report.note(f"relation among all, {version}", outcome.named / max(1, outcome.found))
    for version, outcome in outcomes.items():
        if outcome.overlaps:
            mean = statistics.mean(outcome.overlaps)
            good = sum(each >= 0.8 for each in outcome.overlaps) / len(outcome.overlaps)
            note = f"worst {min(outcome.overlaps):.2f}, at least 0.8 in {good:.0%}"
            report.add(Bar(f"box IoU, {version}", mean, 0.8, note=note))


def _judge(outcome: Outcome, case: Case, found: Comparison | None) -> None:
    outcome.count += 1
    if found is None:
        outcome.missed.append(case.source)
        return
    outcome.found += 1
    wanted = case.made.relation
    outcome.right += found.relations[0] is wanted
    outcome.named += wanted in found.relations
    if found.relations[0] is not wanted:
        named = ", ".join(relation.value for relation in found.relations)
        outcome.misnamed.append(f"{case.source} {named}")
    for what, versions in _BOXES.items():
        truth = getattr(case.made, what)
        if truth is not None and case.version in versions:
            outcome.overlaps.append(truth.overlap(_box(found, what)))


def _box(found: Comparison, what: str) -> Box:
    if what == "query_box":
        return found.query_box
    if what == "image_box":
        return found.image_box
    return found.changed_boxes[0] if found.changed_boxes else Box(0, 0, 0, 0)


def _add_strangers(library: list[_Entry]) -> None:
    for name, image in (pictures.drawings(_DRAWINGS) | pictures.faces()).items():
        library.append(_Entry(frozenset([name]), features(stored(image))))
    seen: set[int] = set()
    for number, pair in enumerate(pictures.look_alikes()):
        for image, shows in zip((pair.first, pair.second), pair.shows, strict=True):
            if id(image) not in seen and pair.kind != "halves of one photo":
                seen.add(id(image))
                known = shows | {f"{pair.kind} {number} {len(seen)}"}
                library.append(_Entry(known, features(stored(image))))


_library: list[_Entry] = []


def _non_pairs(report: Report, library: list[_Entry], pairs: int) -> tuple[int, float]:
    """How many of random pairs of distinct pictures are taken for versions; seconds of each."""
    _library[:] = library
    rng = random.Random(3)
    chosen: list[tuple[int, int]] = []
    while len(chosen) < pairs:
        a, b = rng.randrange(len(library)), rng.randrange(len(library))
        if not library[a].shows & library[b].shows:
            chosen.append((a, b))
    chunks = [chosen[i : i + _CHUNK] for i in range(0, len(chosen), _CHUNK)]
    wrong: list[tuple[int, int, float, str]] = []
    seconds = 0.0
    with ProcessPoolExecutor(min(2, os.cpu_count() or 1)) as pool:
        for found, took in pool.map(_compared, chunks):
            wrong += found
            seconds += took
    report.note("non-pairs: pictures they are drawn from", len(library))
    for a, b, confidence, relations in wrong[:20]:
        shown = f"{sorted(library[a].shows)} {sorted(library[b].shows)}"
        report.note(f"false positive {a} {b}", f"{confidence:.2f} {relations} {shown}")
    return len(wrong), seconds / max(1, pairs)


def _compared(
    chunk: list[tuple[int, int]],
) -> tuple[list[tuple[int, int, float, str]], float]:
    began = time.thread_time()
    wrong = []
    for a, b in chunk:
        found = compare(_library[a].features, _library[b].features)
        if found:
            names = ", ".join(relation.value for relation in found.relations)
            wrong.append((a, b, found.confidence, names))
    return wrong, time.thread_time() - began


def _look_alikes(report: Report) -> None:
    counts: dict[str, list[float]] = defaultdict(list)
    for pair in pictures.look_alikes():
        found = compare(features(sent(pair.first)), features(stored(pair.second)))
        counts[pair.kind].append(found.confidence if found else 0.0)
    for name, confidences in counts.items():
        taken = sum(confidence > 0 for confidence in confidences)
        note = f"of {len(confidences)}; surest {max(confidences):.2f}"
        report.add(Bar(f"taken for versions: {name}", float(taken), 0.0, False, note))


def _cost(report: Report, cases: list[Case], other_seconds: float) -> None:
    """What one core takes for versions of 512 pixels a side, and for other pictures."""
    large = [case for case in cases if max(case.image.picture.pixels.shape) == WORKING_SIDE]
    chosen = random.Random(7).sample(large, min(_TIMED, len(large)))
    own = statistics.mean(_seconds(partial(features, case.image.picture)) for case in chosen)
    pair = statistics.mean(_seconds(partial(compare, case.query, case.image)) for case in chosen)
    report.note("features of a candidate of 512 pixels, ms", own * 1000)
    report.note("comparison of a version, ms", pair * 1000)
    report.note("comparison of another picture, ms", other_seconds * 1000)
    for what, took in (("a version", pair), ("another picture", other_seconds)):
        name = f"proof of {what}, features included, ms"
        report.add(Bar(name, (own + took) * 1000, 30, at_least=False))


def _seconds(work: Callable[[], object]) -> float:
    """Processor seconds of this thread; of three times the least.

    Other work on the same core makes the thread's own time longer.
    """
    times = []
    for _ in range(3):
        began = time.thread_time()
        work()
        times.append(time.thread_time() - began)
    return min(times)
