"""Page tokens: all that a later page needs, so that the gateway remembers nothing. Pure.

A token carries the terms' vectors: embedding an image anew may give a vector that differs in
its last digits, and then the pages would be of two searches.
"""

import base64
import binascii
import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from google.protobuf.message import Message
from imagesearch.common.v1 import types_pb2 as types

from gateway.composing import Resolved
from gateway.relevance import Scale
from service_kit.errors import InvalidRequestError


@dataclass(frozen=True)
class Found:
    """A result that is still to be shown.

    Attributes:
        image_id: Its id.
        score: Its score.
        folded: Ids of those that are folded into it.
    """

    image_id: str
    score: float
    folded: tuple[str, ...] = ()


@dataclass(frozen=True)
class Place:
    """Where a page begins.

    Attributes:
        terms: What is looked for.
        scale: What relevances are measured by; None: they are not asked for.
        inner: search_service's token; "" where the results are folded.
        rest: The folded results that have not been shown.
    """

    terms: Sequence[Resolved]
    scale: Scale | None = None
    inner: str = ""
    rest: Sequence[Found] = field(default_factory=tuple)


def write(digest: str, place: Place) -> str:
    """Makes a token."""
    content = {
        "of": digest,
        "terms": [
            [t.kind, t.field, t.weight, _packed(t.vector), t.vector.space, t.truncated]
            for t in place.terms
        ],
        "scale": asdict(place.scale) if place.scale is not None else None,
        "inner": place.inner,
        "rest": [[found.image_id, found.score, *found.folded] for found in place.rest],
    }
    return base64.urlsafe_b64encode(json.dumps(content).encode()).decode()


def read(token: str, digest: str) -> Place:
    """Reads a token.

    Raises:
        InvalidRequestError: It is none that the same request got.
    """
    try:
        content = json.loads(base64.urlsafe_b64decode(token))
        if content["of"] == digest:
            return _place(content)
    except (binascii.Error, ValueError, TypeError, KeyError, AttributeError):
        pass
    raise InvalidRequestError([("page_token", "is not a token that this request got")])


def _place(content: Any) -> Place:
    terms = [
        Resolved(str(kind), str(where), float(weight), _unpacked(packed, space), bool(truncated))
        for kind, where, weight, packed, space, truncated in content["terms"]
    ]
    scale = content["scale"]
    rest = [
        Found(str(image_id), float(score), tuple(map(str, folded)))
        for image_id, score, *folded in content["rest"]
    ]
    return Place(terms, Scale(**scale) if scale is not None else None, str(content["inner"]), rest)


def digest(request: Message) -> str:
    """What a request asks for, whichever page: tokens are good for no other."""
    same = type(request)()
    same.CopyFrom(request)
    same.ClearField("page_token")
    return hashlib.sha256(same.SerializeToString(deterministic=True)).hexdigest()[:32]


def _packed(vector: types.Vector) -> str:
    return base64.b64encode(np.array(vector.values, "<f4").tobytes()).decode()


def _unpacked(packed: str, space: str) -> types.Vector:
    values = np.frombuffer(base64.b64decode(packed), "<f4")
    return types.Vector(values=values.tolist(), space=space)
