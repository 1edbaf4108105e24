"""Do the models fit together, and the index to them."""

from collections.abc import Sequence

from imagesearch.gateway.v1 import diagnostics_pb2 as pb

from imagesearch_doctor.findings import Finding, ok, problem, warning
from imagesearch_doctor.system import System
from imagesearch_doctor.targets import EMBEDDER

_LEAST_COSINE = 0.999


async def models(system: System) -> list[Finding]:
    """Whether there is a model for images and one for texts, of one space, and how exact."""
    told = (await system.diagnostics()).value
    return judged(told.models) if told is not None and told.models else []


def judged(models: Sequence[pb.ModelDiagnostics]) -> list[Finding]:
    """What is to be said of models, the default image model first."""
    default = models[0]
    found = [
        warning(EMBEDDER, _inexact(each), "set EMBEDDER_DTYPE=float32, or to auto, and restart it")
        for each in models
        if each.cosine_to_float32 < _LEAST_COSINE
    ]
    if not default.takes_images:
        what = f"the first model, {default.name}, takes no images"
        found.append(problem(EMBEDDER, what, "set EMBEDDER_IMAGE_MODEL to a model for images"))
    texts = [each for each in models if each.takes_texts and each.space == default.space]
    if not texts:
        what = f"no model takes texts in the space {default.space}"
        found.append(problem(EMBEDDER, what, "set EMBEDDER_TEXT_MODEL to one aligned to it"))
    if not found:
        names = dict.fromkeys(each.name for each in (default, texts[0]))
        what = f"{' and '.join(names)} on {default.device}, {default.arithmetic}"
        found.append(ok(EMBEDDER, what))
    return found


def _inexact(model: pb.ModelDiagnostics) -> str:
    return (
        f"{model.name} computes in {model.arithmetic}, whose vectors have a cosine of only "
        f"{model.cosine_to_float32:.4f} to those of float32"
    )


async def spaces(system: System) -> list[Finding]:
    """Whether the index holds vectors that the embedder's may be compared with."""
    status, told = (await system.status()).value, (await system.diagnostics()).value
    if status is None or not status.HasField("index") or not status.space:
        return []
    index, subject = status.index, f"index {status.index.name}"
    served = {each.space for each in told.models} if told is not None else {status.space}
    if index.space not in served:
        what = f"it holds vectors of {index.space}, and the embedder gives those of {status.space}"
        advice = (
            "serve the model that it was made with (EMBEDDER_IMAGE_MODEL), or index the images "
            "anew into another index"
        )
        return [problem(subject, what, advice)]
    if index.space != status.space:
        what = f"its space {index.space} is not that of the default model"
        advice = "searches by images and texts embed with the default model: serve that one first"
        return [problem(subject, what, advice)]
    sizes = [each.dimensions for each in told.models if each.space == index.space] if told else []
    if sizes and sizes[0] != index.dimensions:
        what = f"it takes vectors of {index.dimensions} values, and the embedder gives {sizes[0]}"
        return [problem(subject, what, "rebuild it: RevisionService.RebuildIndex")]
    return [ok(subject, f"is of the embedder's space, {index.space}")]
