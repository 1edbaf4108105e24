"""The page's files, without a browser."""

from __future__ import annotations

import json
import re
from importlib.resources import files
from pathlib import Path
from typing import Any

import imagesearch_web

STATIC = Path(str(files(imagesearch_web))) / "static"
HTML = (STATIC / "index.html").read_text("utf-8")
SCRIPTS = {path.name: path.read_text("utf-8") for path in (STATIC / "js").glob("*.js")}

IMPORT = re.compile(r'^import [^;]*?from "\./([\w.]+)"', re.M)


def test_every_language_says_everything() -> None:
    """All languages have the same messages, with the same places in them."""
    languages = re.findall(r"^  (\w+): ", SCRIPTS["languages.js"], re.M)
    texts = {
        name: json.loads((STATIC / f"locales/{name}.json").read_text("utf-8")) for name in languages
    }
    assert len(texts) >= 2

    def places(message: Any) -> set[str]:
        forms = message.values() if isinstance(message, dict) else [message]
        return set(re.findall(r"\{(\w+)\}", " ".join(forms)))

    for name, messages in texts.items():
        assert texts["en"].keys() == messages.keys(), name
        for key, message in messages.items():
            assert places(texts["en"][key]) == places(message), (name, key)


def test_every_message_that_is_used_exists() -> None:
    messages = json.loads((STATIC / "locales/en.json").read_text("utf-8"))
    used = set(re.findall(r'data-t(?:-\w+)?="([^"]+)"', HTML))
    for text in SCRIPTS.values():
        used |= set(re.findall(r'\bt\(\s*"([^"$]+)"', text))

    assert not used - messages.keys()


def test_what_the_first_view_needs_is_asked_for_at_once() -> None:
    """The page names every module that is loaded at the start, so none waits for another."""
    needed: set[str] = set()
    waiting = {"main.js"}
    while waiting:
        name = waiting.pop()
        needed.add(name)
        waiting |= set(IMPORT.findall(SCRIPTS[name])) - needed

    named = set(re.findall(r'rel="modulepreload" href="js/([\w.]+)"', HTML))

    assert needed - {"main.js"} == named
    assert set(IMPORT.findall(SCRIPTS["early.js"])) <= named


def test_nothing_is_inline_or_from_elsewhere() -> None:
    assert not re.search(r"<style|<script(?![^>]*src=)|\son\w+=|\sstyle=", HTML)
    assert not re.search(r'(?:src|href)="(?:https?:)?//', HTML)
    for name, text in SCRIPTS.items():
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|\beval\(", text), name
