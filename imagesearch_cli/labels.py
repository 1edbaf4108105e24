"""Labels as they are given on the command line."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from google.protobuf.json_format import ParseDict, ParseError
from imagesearch.gateway.v1 import classification_pb2 as pb

from imagesearch_cli.connection import CliError

Label = Annotated[
    list[str] | None,
    typer.Option(help="Something it may be, in any language. May be repeated."),
]
LabelsFile = Annotated[
    Path | None,
    typer.Option(
        help="File of labels: one a line, 'name | text | text'; or .json as a label set has it.",
        exists=True,
        dir_okay=False,
    ),
]
LabelSet = Annotated[str, typer.Option(help="Label set of the server: see label-sets.")]
Template = Annotated[
    list[str] | None,
    typer.Option(help="Sentence with {} where a label's text goes. May be repeated."),
]
Language = Annotated[str, typer.Option("--lang", help="Show names in this language, e.g. zh.")]


def choice(
    label: Sequence[str] | None,
    labels_file: Path | None,
    label_set: str,
    template: Sequence[str] | None,
    required: bool = True,
) -> dict[str, Any]:
    """The labels that are meant, as arguments of the client's calls.

    Raises:
        typer.BadParameter: None is given, or several.
        CliError: The file holds no labels.
    """
    given = sum((bool(label), labels_file is not None, bool(label_set)))
    if given > 1 or (required and not given):
        raise typer.BadParameter("give exactly one of --label, --labels-file and --label-set")
    if template and (label_set or not given):
        raise typer.BadParameter("--template goes with --label or --labels-file")
    if label_set:
        return {"label_set": label_set}
    if not given:
        return {}
    labels = _read(labels_file) if labels_file is not None else pb.Labels()
    for name in label or ():
        labels.labels.add(name=name)
    if template:
        del labels.templates[:]
        labels.templates.extend(template)
    return {"labels": labels}


def shown(name: str, display_names: Any, language: str) -> str:
    """A label's name in a language, with its own where they differ."""
    translated = display_names.get(language, name)
    return name if translated == name else f"{translated} ({name})"


def _read(file: Path) -> pb.Labels:
    try:
        text = file.read_text(encoding="utf-8")
        if file.suffix.lower() == ".json":
            content = json.loads(text)
            if isinstance(content, dict):
                content.pop("description", None)
            return ParseDict(content, pb.Labels())
    except (OSError, ValueError, ParseError) as error:
        raise CliError(f"{file}: {error}") from error
    labels = pb.Labels()
    for line in text.splitlines():
        parts = [part.strip() for part in line.split("|")]
        if parts[0] and not parts[0].startswith("#"):
            texts = [part for part in parts if part] if len(parts) > 1 else []
            labels.labels.add(name=parts[0], texts=texts)
    return labels
