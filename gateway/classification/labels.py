"""What an image may be: labels, and how their texts are put."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from gateway.classification.prompts import prompts

MAX_LABELS = 1_000
MAX_TEXTS = 20
MAX_TEMPLATES = 100
MAX_PROMPTS = 20_000
"""Most texts to embed for one list of labels: about 20 s of one processor's time."""

MAX_TEXT_BYTES = 1_000
MAX_NAME_BYTES = 256
MAX_LANGUAGES = 100


@dataclass(frozen=True)
class Label:
    """Something that an image may show.

    Attributes:
        name: What it is called in answers.
        texts: Texts that describe it; empty: the name alone.
        display_names: Its name by language.
    """

    name: str
    texts: tuple[str, ...]
    display_names: Mapping[str, str]


@dataclass(frozen=True)
class Labels:
    """A list of labels.

    Attributes:
        labels: At least one, of different names.
        templates: Sentences with "{}" where the text goes; empty: the default ones.
    """

    labels: tuple[Label, ...]
    templates: tuple[str, ...]

    @cached_property
    def prompts(self) -> list[list[str]]:
        """For each label, the sentences whose vectors are averaged to its own."""
        return [prompts(label.texts or (label.name,), self.templates) for label in self.labels]

    @cached_property
    def digest(self) -> bytes:
        """The same for labels that have the same vectors."""
        return hashlib.sha256(json.dumps(self.prompts).encode()).digest()
