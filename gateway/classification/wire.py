"""Messages to labels and back, and everything that can be wrong with a request."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from imagesearch.gateway.v1 import classification_pb2 as pb
from imagesearch.gateway.v1 import queries_pb2 as queries_pb

from gateway.classification.labels import (
    MAX_LABELS,
    MAX_LANGUAGES,
    MAX_NAME_BYTES,
    MAX_PROMPTS,
    MAX_TEMPLATES,
    MAX_TEXT_BYTES,
    MAX_TEXTS,
    Label,
    Labels,
)
from gateway.classification.prompts import PLACE
from gateway.classification.zero_shot import Scores
from gateway.errors import LabelSetNotFoundError
from gateway.query_images import ImageSource, check_region, image_source
from image_kit.naming import check_index_name
from service_kit.errors import Violations

if TYPE_CHECKING:
    from gateway.classification.label_sets import LabelSet

MAX_TOP_K = 1_000
MAX_TAGS = 100
MAX_PREFIX_BYTES = 100
MAX_NEIGHBORS = 100

DEFAULT_TOP_K = 5
DEFAULT_NEIGHBORS = 20
DEFAULT_MIN_PROBABILITY = 0.5

_ATTRIBUTES = "attributes."


def labels(message: pb.Labels, field: str) -> Labels:
    """Reads a list of labels.

    Args:
        message: The labels.
        field: Where in the request they are; "": they are all of it.

    Raises:
        InvalidRequestError: with one field violation for each thing wrong.
    """
    wrong = Violations()
    read = _labels(message, f"{field}." if field else "", wrong)
    wrong.raise_if_any()
    return read


def _labels(message: pb.Labels, path: str, wrong: Violations) -> Labels:
    if not 1 <= len(message.labels) <= MAX_LABELS:
        what = f"has {len(message.labels)} items; 1 to {MAX_LABELS} are allowed"
        wrong.add(f"{path}labels", what)
    names: set[str] = set()
    for number, label in enumerate(message.labels[:MAX_LABELS]):
        _check_label(label, f"{path}labels[{number}]", names, wrong)
    if len(message.templates) > MAX_TEMPLATES:
        what = f"has {len(message.templates)} items; at most {MAX_TEMPLATES} are allowed"
        wrong.add(f"{path}templates", what)
    for number, template in enumerate(message.templates[:MAX_TEMPLATES]):
        field = f"{path}templates[{number}]"
        _check_text(template, field, wrong, MAX_TEXT_BYTES)
        if template.strip() and template.count(PLACE) != 1:
            wrong.add(field, f"must have {PLACE!r} once, where the text goes")
    read = Labels(
        tuple(
            Label(each.name, tuple(each.texts), dict(each.display_names)) for each in message.labels
        ),
        tuple(message.templates),
    )
    texts = sum(len(label.texts) or 1 for label in read.labels)
    if (count := texts * max(1, len(read.templates))) > MAX_PROMPTS:
        what = f"makes {count} sentences of {texts} texts; at most {MAX_PROMPTS} are allowed"
        wrong.add(f"{path}templates", what)
    return read


def _check_label(label: pb.Label, field: str, names: set[str], wrong: Violations) -> None:
    _check_text(label.name, f"{field}.name", wrong, MAX_NAME_BYTES)
    if label.name and label.name in names:
        wrong.add(f"{field}.name", "is the name of a label before it too")
    names.add(label.name)
    if len(label.texts) > MAX_TEXTS:
        what = f"has {len(label.texts)} items; at most {MAX_TEXTS} are allowed"
        wrong.add(f"{field}.texts", what)
    for number, text in enumerate(label.texts[:MAX_TEXTS]):
        _check_text(text, f"{field}.texts[{number}]", wrong, MAX_TEXT_BYTES)
    if len(label.display_names) > MAX_LANGUAGES:
        what = f"has {len(label.display_names)} items; at most {MAX_LANGUAGES} are allowed"
        wrong.add(f"{field}.display_names", what)
    for language, name in list(label.display_names.items())[:MAX_LANGUAGES]:
        if not 1 <= len(language.encode()) <= 35:
            wrong.add(f"{field}.display_names", "has a language that is not 1 to 35 bytes long")
        else:
            _check_text(name, f"{field}.display_names[{language}]", wrong, MAX_NAME_BYTES)


def _check_text(text: str, field: str, wrong: Violations, most: int) -> None:
    if not text.strip():
        wrong.add(field, "is empty")
    elif len(text.encode()) > most:
        wrong.add(field, f"has more than {most} bytes")


class Choices:
    """Reads which labels a request means.

    Args:
        sets: The label sets, by name.
    """

    def __init__(self, sets: Mapping[str, "LabelSet"]) -> None:
        self._sets = sets

    def chosen(
        self,
        request: pb.ClassifyRequest | pb.ClassifyBatchRequest | pb.IdentifyRequest,
        wrong: Violations,
        required: bool = True,
    ) -> Labels | None:
        """Gives the labels that are meant; None where there are none, which may be wrong.

        Raises:
            LabelSetNotFoundError: There is no such set, and the request is right otherwise.
        """
        match request.WhichOneof("choice"):
            case "labels":
                return _labels(request.labels, "labels.", wrong)
            case "label_set":
                if not request.label_set:
                    wrong.add("label_set", "is empty")
                    return None
                if request.label_set not in self._sets:
                    wrong.raise_if_any()
                    raise LabelSetNotFoundError(request.label_set)
                return self._sets[request.label_set].labels
            case _:
                if required:
                    wrong.add("choice", "is not set; give labels or label_set")
                return None


def source(request: pb.ClassifyRequest | pb.IdentifyRequest, wrong: Violations) -> ImageSource:
    """Reads which image is meant; notes what is wrong."""
    region: queries_pb.Region | None = None
    if request.HasField("region"):
        region = request.region
        check_region(region, "region", wrong)
    return image_source(request, request.index, wrong, region=region)


def index(request: pb.ClassifyBatchRequest, wrong: Violations) -> str:
    """Reads whose documents are meant; notes what is wrong."""
    if not request.index:
        wrong.add("index", "is not set; documents may be changed, so it must be")
    return check_index_name(request.index, "index", wrong)


def count(
    request: pb.ClassifyRequest | pb.ClassifyBatchRequest | pb.IdentifyRequest,
    field: str,
    default: int,
    most: int,
    wrong: Violations,
) -> int:
    """Reads an optional number from 1 on; notes what is wrong."""
    if not request.HasField(field):  # type: ignore[arg-type]
        return default
    value: int = getattr(request, field)
    if not 1 <= value <= most:
        wrong.add(field, f"is {value}; 1 to {most} are allowed")
    return value


def min_probability(request: pb.ClassifyBatchRequest, wrong: Violations) -> float:
    """Reads the least probability; notes what is wrong."""
    if not request.HasField("min_probability"):
        return DEFAULT_MIN_PROBABILITY
    value = request.min_probability
    if not 0 <= value <= 1:  # so that NaN is refused
        wrong.add("min_probability", f"is {value}; 0 to 1 is allowed")
    return value


def tag_prefix(request: pb.ClassifyBatchRequest, wrong: Violations) -> str:
    """Reads what to put before each tag; notes what is wrong."""
    if len(request.tag_prefix.encode()) > MAX_PREFIX_BYTES:
        wrong.add("tag_prefix", f"has more than {MAX_PREFIX_BYTES} bytes")
    return request.tag_prefix


def label_field(request: pb.IdentifyRequest, wrong: Violations) -> str:
    """Reads where neighbours' labels are; notes what is wrong."""
    field = request.label_field or "tags"
    if field != "tags" and not (field.startswith(_ATTRIBUTES) and len(field) > len(_ATTRIBUTES)):
        wrong.add("label_field", f"is {field!r}; 'tags' or 'attributes.KEY' is allowed")
    elif len(field.encode()) > MAX_NAME_BYTES:
        wrong.add("label_field", f"has more than {MAX_NAME_BYTES} bytes")
    return field


def label_set(label_set: "LabelSet") -> pb.LabelSet:
    """Renders what a label set is."""
    return pb.LabelSet(
        name=label_set.name,
        description=label_set.description,
        languages=label_set.languages,
        label_count=len(label_set.labels.labels),
    )


def to_message(read: Labels) -> pb.Labels:
    """Renders labels as a request has them."""
    return pb.Labels(
        labels=[
            pb.Label(name=each.name, texts=each.texts, display_names=each.display_names)
            for each in read.labels
        ],
        templates=read.templates,
    )


def label_scores(
    read: Labels, scores: Scores, image: int, order: Sequence[int]
) -> list[pb.LabelScore]:
    """Renders some labels of an image.

    Args:
        read: All labels.
        scores: Of images.
        image: Number of the image.
        order: Numbers of the labels to show, best first.
    """
    return [
        pb.LabelScore(
            name=read.labels[number].name,
            probability=scores.probabilities[image, number],
            similarity=scores.similarities[image, number],
            display_names=read.labels[number].display_names,
        )
        for number in order
    ]
