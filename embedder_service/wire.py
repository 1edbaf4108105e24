"""Messages to inputs and back, and everything that can be wrong with a request."""

from dataclasses import dataclass

from imagesearch.embedder.v1 import embedder_service_pb2 as pb

from embedder_service.embedding import (
    ImageInput,
    Input,
    Outcome,
    RefusedInput,
    TextInput,
)
from embedder_service.model import ModelInfo
from embedder_service.statistics import OUTCOMES, Statistics, Timing
from image_kit.decoding import ImageError, ImageLimits, check_length
from service_kit.errors import InvalidRequestError, ServiceError, Violations
from service_kit.vectors import to_vector


@dataclass(frozen=True)
class Bounds:
    """What requests must keep; clients read it from GetModel.

    Attributes:
        image: Bounds of one image.
        max_inputs: Most inputs in one Embed call.
        max_text_bytes: Longest text, in bytes of UTF-8.
        max_queue: Most inputs waiting.
    """

    image: ImageLimits
    max_inputs: int
    max_text_bytes: int
    max_queue: int


def embed_inputs(request: pb.EmbedRequest, bounds: Bounds) -> list[Input]:
    """Reads an EmbedRequest. An input that is wrong comes back as a RefusedInput.

    Raises:
        InvalidRequestError: The call as a whole is malformed.
    """
    wrong = Violations()
    if not 1 <= len(request.inputs) <= bounds.max_inputs:
        count = len(request.inputs)
        wrong.add("inputs", f"has {count} items; 1 to {bounds.max_inputs} are allowed")
    wrong.raise_if_any()
    return [
        embed_input(item, f"inputs[{index}]", bounds) for index, item in enumerate(request.inputs)
    ]


def embed_input(item: pb.EmbedInput, field: str, bounds: Bounds) -> Input:
    """Reads one input. `field` is its path in the request, for errors."""
    match item.WhichOneof("content"):
        case "image":
            data = item.image
            try:
                check_length(data, bounds.image)
            except ImageError as error:
                return RefusedInput(error.at(f"{field}.image"), ImageInput)
            return ImageInput(data, f"{field}.image")
        case "text":
            return _text(item.text, f"{field}.text", bounds.max_text_bytes)
        case _:
            what = "is not set; give image or text"
            return RefusedInput(InvalidRequestError([(f"{field}.content", what)]))


def _text(text: str, field: str, max_bytes: int) -> Input:
    if not text.strip():
        return _refused_text(field, "is empty")
    if (length := len(text.encode())) > max_bytes:
        return _refused_text(field, f"has {length} bytes; at most {max_bytes} are allowed")
    return TextInput(text)


def _refused_text(field: str, what: str) -> RefusedInput:
    return RefusedInput(InvalidRequestError([(field, what)]), TextInput)


def embed_result(outcome: Outcome, space: str) -> pb.EmbedResult:
    """Renders what became of one input."""
    if isinstance(outcome, ServiceError):
        return pb.EmbedResult(error=outcome.to_status())
    vector = to_vector(outcome.vector, space)
    return pb.EmbedResult(vector=vector, truncated=outcome.truncated)


_MODALITIES = {"image": pb.MODALITY_IMAGE, "text": pb.MODALITY_TEXT}


def model(info: ModelInfo, bounds: Bounds) -> pb.Model:
    """Renders what is known of a model."""
    return pb.Model(
        name=info.name,
        revision=info.revision,
        modalities=[_MODALITIES[kind] for kind in info.takes],
        dimensions=info.dimensions,
        space=info.space,
        max_text_tokens=info.max_text_tokens,
        device=info.device,
        dtype=info.dtype,
        backend=info.backend,
        cosine_to_float32=info.cosine,
        logit_scale=info.logit_scale,
        limits=pb.Limits(
            max_inputs=bounds.max_inputs,
            max_image_bytes=bounds.image.max_bytes,
            max_image_pixels=bounds.image.max_pixels,
            max_text_bytes=bounds.max_text_bytes,
            max_batch=info.max_batch,
            max_queue=bounds.max_queue,
        ),
    )


def model_statistics(
    name: str, kind: str, waiting: int, statistics: Statistics
) -> pb.ModelStatistics:
    """Renders what was done with one kind of input of a model."""
    rendered = pb.ModelStatistics(
        name=name,
        modality=_MODALITIES[kind],
        waiting=waiting,
        prepare=_timing(statistics.prepare),
        queue=_timing(statistics.queue),
        in_all=_timing(statistics.in_all),
        batches=[
            pb.BatchStatistics(size=size, compute=_timing(timing))
            for size, timing in sorted(statistics.batches.items())
        ],
    )
    for outcome in OUTCOMES:
        setattr(rendered, outcome, getattr(statistics, outcome))
    return rendered


def _timing(timing: Timing) -> pb.Timing:
    rendered = pb.Timing(count=timing.count)
    rendered.total.FromNanoseconds(int(timing.seconds * 1e9))
    return rendered
