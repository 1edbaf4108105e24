"""Trains both towers together: descriptions to drawings, versions to versions.

- Descriptions: contrastive as CLIP (Radford et al. 2021), with several right answers,
  since a description such as "a red circle" fits more than one drawing of a batch.
- Versions: InfoNCE between two versions of a picture (Chen et al. 2020, SimCLR).
- Helpers: each attribute is also predicted from the pooled output, which shortens the
  training much; these heads are dropped at the end.
"""

import math
import random
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import CLIPModel, PreTrainedTokenizerFast

from imagesearch_dev.captions import LANGUAGES, Query, caption, describe
from imagesearch_dev.drawings import (
    COLOURS,
    MAX_COUNT,
    POSITIONS,
    SHAPES,
    TEXTURES,
    Drawing,
)
from imagesearch_dev.tiny_model import pictures, towers, views

PARTS = tuple(
    frozenset(parts.split())
    for parts in (
        "count colour shape",
        "count colour shape",
        "count shape",
        "colour",
        "count colour shape position",
        "count colour shape position",
        "count shape position",
        "count colour shape texture",
        "count colour shape background",
        "count colour shape texture background",
        "count shape texture",
        "texture",
        "background",
        "texture background",
        "count colour shape position texture background",
    )
)
"""What a description may say; twice where it matters twice as much."""

_VALUES: dict[str, tuple[object, ...]] = {
    "count": tuple(range(1, MAX_COUNT + 1)),
    "colour": tuple(COLOURS),
    "shape": SHAPES,
    "position": ("", *POSITIONS),
    "texture": TEXTURES,
    "background": tuple(COLOURS),
}


@dataclass(frozen=True)
class Plan:
    """How long and on how much to train.

    Attributes:
        steps: Updates of the weights.
        drawings: Different drawings.
        textures: Different textures.
        batch: Drawings with descriptions in a step.
        versions: Of these, and of textures, how many come in two versions. A multiple of
            pictures.ALIKE.
        least_area: Smallest part of a drawing that a version keeps.
        least_texture: Smallest part of a texture that a version keeps.
        position_weight: How often, against other descriptions, some say a position.
        rate: Highest learning rate.
        seed: Of all that is random.
    """

    steps: int = 1500
    drawings: int = 40_000
    textures: int = 16_000
    batch: int = 160
    versions: int = 64
    least_area: float = 0.6
    least_texture: float = 0.4
    position_weight: int = 1
    rate: float = 1.5e-3
    seed: int = 7


STAGES = (
    Plan(),
    # Versions are learned by now; descriptions, of positions above all, take longer. This one
    # was planned for 4000 steps and ended when its descriptions were right, at half its rate.
    Plan(steps=2000, versions=40, least_area=0.8, position_weight=3, rate=1.2e-3, seed=8),
    # Versions again, now also against textures of the same kind, and at a falling rate.
    Plan(steps=1200, batch=128, versions=96, least_area=0.8, rate=8e-4, seed=9),
    # Smaller crops than people make cost more than they teach.
    Plan(steps=500, batch=128, versions=96, least_area=0.8, least_texture=0.55, rate=4e-4, seed=10),
)
"""What the models in the repository were trained with, one after the other."""


@dataclass
class Trained:
    """What comes out: the towers and the tokenizer."""

    network: CLIPModel
    text: towers.TextTower
    tokenizer: PreTrainedTokenizerFast


def fit_matrix(queries: list[Query], codes: Tensor) -> Tensor:
    """(len(queries), len(codes)) bool: which drawing each query fits.

    Args:
        queries: Descriptions.
        codes: As `encode_attributes` gives them.
    """
    wanted = torch.tensor([_codes(query) for query in queries])
    return ((wanted[:, None] == codes[None]) | (wanted[:, None] < 0)).all(-1)


def encode_attributes(shown: list[Drawing]) -> Tensor:
    """(len(shown), 6) int64: the number of each attribute's value."""
    return torch.tensor([_codes(drawing) for drawing in shown])


def _codes(item: Drawing | Query) -> list[int]:
    unsaid = (None, "") if isinstance(item, Query) else (None,)
    return [
        -1 if getattr(item, name) in unsaid else values.index(getattr(item, name))
        for name, values in _VALUES.items()
    ]


def train(
    plan: Plan,
    start: Trained | None = None,
    every: int = 200,
    keep: Callable[[Trained], None] | None = None,
) -> Trained:
    """Runs the training; prints its progress. Needs a C++ compiler, for `torch.compile`.

    Args:
        plan: How long and on how much.
        start: Where an earlier training ended; None: from nothing.
        every: Steps between two calls of `keep`.
        keep: Gets what there is so far.
    """
    torch.manual_seed(plan.seed)
    rng = random.Random(plan.seed)
    dice = torch.Generator().manual_seed(plan.seed)
    shown, pool = pictures.drawings(plan.drawings, seed=10 * plan.seed + 1)
    codes = encode_attributes(shown)
    natural = pictures.textures(plan.textures, seed=10 * plan.seed + 2)
    marks = pictures.overlays(400, seed=10 * plan.seed + 3, side=views.SIDE)
    trained = start or _untrained(shown[:3000])
    network, text, tokenizer = trained.network.train(), trained.text.train(), trained.tokenizer
    # Together 2.5 times as fast as the defaults, whose fused attention is slow backwards.
    network.set_attn_implementation("eager")
    network.vision_model.compile()
    width = network.config.vision_config.hidden_size
    heads = nn.ModuleList(nn.Linear(width, len(values)) for values in _VALUES.values())
    learned = [*network.vision_model.parameters(), *network.visual_projection.parameters()]
    learned += [network.logit_scale, *text.parameters(), *heads.parameters()]
    optimizer = torch.optim.AdamW(learned, lr=plan.rate, weight_decay=0.02, betas=(0.9, 0.98))
    kinds = [p for p in PARTS for _ in range(plan.position_weight if "position" in p else 1)]
    began = time.monotonic()
    for step in range(plan.steps):
        for group in optimizer.param_groups:
            group["lr"] = plan.rate * _rate(step, plan.steps)
        picked = torch.randint(len(pool), (plan.batch,), generator=dice)
        queries = [describe(shown[int(i)], rng.choice(kinds)) for i in picked]
        words = tokenizer(
            [caption(query, rng.choice(LANGUAGES)) for query in queries],
            padding=True,
            truncation=True,
            return_tensors="pt",
        )
        kinds_of = torch.randint(
            len(natural) // pictures.ALIKE, (plan.versions // pictures.ALIKE, 1), generator=dice
        )
        some = (kinds_of * pictures.ALIKE + torch.arange(pictures.ALIKE)).flatten()
        again = picked[: plan.versions]
        pixels = torch.cat(
            [
                views.varied(pool[picked], marks, 0.97, dice),
                views.varied(pool[again], marks, plan.least_area, dice),
                views.varied(natural[some], marks, plan.least_texture, dice),
                views.plain(natural[some]),
            ]
        )
        with torch.autocast("cpu", torch.bfloat16):
            pooled, vectors = towers.image_vectors(network, pixels)
            said = text(words["input_ids"], words["attention_mask"])
            guesses = [head(pooled[: plan.batch]).float() for head in heads]
        sizes = [plan.batch, plan.versions, plan.versions, plan.versions]
        drawn, second, first_natural, second_natural = torch.split(vectors, sizes)
        fits = fit_matrix(queries, codes[picked])
        matching = _contrast(said @ drawn.T * network.logit_scale.exp(), fits)
        same = torch.cat([drawn[: plan.versions], first_natural])
        versions = _same(same, torch.cat([second, second_natural]))
        helpers = torch.stack(
            [F.cross_entropy(guess, codes[picked, i]) for i, guess in enumerate(guesses)]
        ).sum()
        loss = matching + versions + 0.3 * helpers
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(learned, 1.0)
        optimizer.step()
        with torch.no_grad():
            network.logit_scale.clamp_(0, math.log(60))
        if step % 25 == 0 or step == plan.steps - 1:
            print(
                f"{step:5d} {time.monotonic() - began:6.0f} s  match {matching.item():.3f}  "
                f"versions {versions.item():.3f}  helpers {helpers.item():.3f}  "
                f"scale {network.logit_scale.exp().item():.1f}",
                flush=True,
            )
        if keep is not None and step % every == every - 1:
            keep(trained)
    return Trained(network.eval(), text.eval(), tokenizer)


def _untrained(shown: list[Drawing]) -> Trained:
    sample = [
        caption(describe(drawing, parts), language)
        for drawing in shown
        for parts in PARTS
        for language in LANGUAGES
    ]
    tokenizer = towers.train_tokenizer(sample)
    return Trained(
        towers.clip_network(), towers.TextTower(towers.text_config(len(tokenizer))), tokenizer
    )


def _rate(step: int, steps: int) -> float:
    warm = 60
    if step < warm:
        return (step + 1) / warm
    return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm))) + 0.01


def _contrast(logits: Tensor, fits: Tensor) -> Tensor:
    """Cross-entropy both ways, the right answers sharing the probability."""
    loss = torch.zeros(())
    for scores, right in ((logits, fits), (logits.T, fits.T)):
        target = right.float() / right.sum(1, keepdim=True).clamp(min=1)
        loss = loss - (target * scores.log_softmax(1)).sum(1).mean()
    return loss / 2


def _same(one: Tensor, other: Tensor, temperature: float = 0.1) -> Tensor:
    """InfoNCE: each row of `one` must find its own row of `other` among all."""
    logits = one @ other.T / temperature
    target = torch.arange(len(one))
    return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2
