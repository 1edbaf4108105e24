"""What an index is made with, as Elasticsearch wants it. Pure."""

import math
from dataclasses import asdict, dataclass
from typing import Any

from search_service.hashes import BANDS_FIELD

VECTOR_FIELD = "image_embedding"

DEFAULT_DIMENSIONS = 512
DEFAULT_M = 16
DEFAULT_EF_CONSTRUCTION = 100

_META = "imagesearch"

# Bytes that a node of the graph takes a neighbour, as Lucene keeps them in memory.
_BYTES_A_NEIGHBOR = 4

# Candidates of a quantised search, in multiples of k, that are scored again with the full
# vectors: scores are then exact, and the coarser the vectors the more there must be.
_OVERSAMPLE = {"int8": 1.5, "int4": 2.0, "bbq": 3.0}

_KEYWORD = {"type": "keyword", "ignore_above": 8191}

_LATER: dict[str, Any] = {BANDS_FIELD: {"type": "keyword", "doc_values": False}}
"""Fields that indexes made by earlier versions lack, until they are written to."""

PROPERTIES: dict[str, Any] = {
    "image_id": {"type": "keyword"},
    "image_name": _KEYWORD,
    "relative_path": _KEYWORD,
    "width": {"type": "integer"},
    "height": {"type": "integer"},
    "format": _KEYWORD,
    "size_bytes": {"type": "long"},
    "phash": {"type": "keyword"},
    "captured_at": {"type": "date"},
    "indexed_at": {"type": "date"},
    "tags": _KEYWORD,
    "caption": {"type": "text", "fields": {"keyword": _KEYWORD}},
    "attributes": {"type": "flattened", "ignore_above": 8191},
    "sources": {
        "properties": {
            "relative_path": _KEYWORD,
            "url": _KEYWORD,
            "page_url": _KEYWORD,
            "first_seen_at": {"type": "date"},
            "last_seen_at": {"type": "date"},
        }
    },
    **_LATER,
}
"""Every field of a document but its vector."""

DESCRIBED = ",".join(
    ["*.aliases", "*.mappings._meta", *(f"*.mappings.properties.{name}" for name in _LATER)]
)
"""What of Elasticsearch's description of an index this service reads."""

UNSEEN = (VECTOR_FIELD, BANDS_FIELD)
"""Fields that are not read back unless they are asked for."""


@dataclass(frozen=True)
class Options:
    """What an index is made with.

    Attributes:
        dimensions: Values in a vector.
        similarity: "cosine", "dot_product", "l2_norm" or "max_inner_product".
        vector_type: "hnsw", "int8_hnsw", "bbq_flat", … as Elasticsearch names them.
        m: Neighbours of a node of the graph; 0 where there is no graph.
        ef_construction: Candidates while the graph is built; 0 where there is no graph.
        shards: Primary shards.
        replicas: Copies of each shard. None: one where the cluster has a second node.
        refresh_ms: Milliseconds until writes are visible. None: Elasticsearch's default.
    """

    dimensions: int = DEFAULT_DIMENSIONS
    similarity: str = "cosine"
    vector_type: str = "int8_hnsw"
    m: int = DEFAULT_M
    ef_construction: int = DEFAULT_EF_CONSTRUCTION
    shards: int = 1
    replicas: int | None = None
    refresh_ms: int | None = None


@dataclass(frozen=True)
class Revision:
    """A physical index.

    Attributes:
        name: Of the index that it is a revision of.
        number: 1, 2, 3, …
        space: What its vectors may be compared with.
        options: What it was made with.
        created_at: RFC 3339.
        epoch: Which promotion of the index made it live; 1 if it was live from the start,
            0 if it never was. Its writes count from there: see `version`.
        promoted_at: When, RFC 3339; "" if it was live from the start, or never.
        operation: Id of the operation that made it; "" without.
        live: The index's name is an alias of it.
        lacking: Fields that it was made without, by an earlier version of this service.
    """

    name: str
    number: int
    space: str
    options: Options
    created_at: str
    epoch: int = 0
    promoted_at: str = ""
    operation: str = ""
    live: bool = False
    lacking: tuple[str, ...] = ()

    @property
    def physical(self) -> str:
        """Name of the physical index."""
        return f"{self.name}-{self.number:06d}"

    @property
    def alias(self) -> str:
        """Another name of it, for writes: they never make an index that is not there."""
        return f"{self.name}@{self.number}"

    def version(self, seq_no: int) -> int:
        """Version that other revisions give a document, as last written here.

        Sequence numbers of a live revision only grow, and epochs do: a copy that comes late
        never replaces a newer one.
        """
        return (self.epoch << 40) + seq_no


@dataclass(frozen=True)
class Index:
    """An index: its live revision and the others, by number."""

    live: Revision
    others: tuple[Revision, ...] = ()

    @property
    def revisions(self) -> list[Revision]:
        """All, by number."""
        return sorted((self.live, *self.others), key=lambda revision: revision.number)

    def revision(self, number: int) -> Revision | None:
        """The one of a number; 0 means the live one."""
        if number == 0:
            return self.live
        return next((each for each in self.revisions if each.number == number), None)


def is_revision(alias: str) -> bool:
    """Whether this is the alias of a revision, and not the name of an index."""
    return "@" in alias


def name_of(alias: str) -> str:
    """The name of the index that an alias is of."""
    return alias.partition("@")[0]


def index_body(revision: Revision) -> dict[str, Any]:
    """Builds the body of the request that creates a revision's physical index."""
    options = revision.options
    settings: dict[str, Any] = {
        "number_of_shards": options.shards,
        # The default, stated: an acknowledged write is on the disk.
        "translog.durability": "request",
        # A copy that was read before a deletion must not come back after it.
        "gc_deletes": "1h",
        **replica_settings(options),
    }
    if options.refresh_ms is not None:
        settings["refresh_interval"] = f"{options.refresh_ms}ms"
    aliases: dict[str, Any] = {revision.alias: {}}
    if revision.live:
        aliases[revision.name] = {"is_write_index": True}
    return {
        "aliases": aliases,
        "settings": {"index": settings},
        "mappings": {
            "dynamic": "strict",
            "_meta": meta_of(revision),
            "properties": {**PROPERTIES, VECTOR_FIELD: _vector_mapping(options)},
        },
    }


def replica_settings(options: Options) -> dict[str, Any]:
    """The settings of an index that say how many copies it has."""
    if options.replicas is None:
        return {"auto_expand_replicas": "0-1"}
    return {"auto_expand_replicas": False, "number_of_replicas": options.replicas}


def meta_of(revision: Revision) -> dict[str, Any]:
    """What the mapping remembers of a revision."""
    return {
        _META: {
            "space": revision.space,
            "options": asdict(revision.options),
            "created_at": revision.created_at,
            "epoch": revision.epoch,
            "promoted_at": revision.promoted_at,
            "operation": revision.operation,
        }
    }


def bytes_per_vector(options: Options) -> int:
    """What a vector takes of the memory that searches read, its part of the graph included.

    After Elasticsearch's guide "Tune approximate kNN search", on file system cache.
    """
    dimensions = options.dimensions
    graph = options.m * _BYTES_A_NEIGHBOR if options.m else 0
    match options.vector_type.partition("_")[0]:
        case "int8":
            return dimensions + 4 + graph
        case "int4":
            return dimensions // 2 + 4 + graph
        case "bbq":
            return math.ceil(dimensions / 8) + 14 + graph
        case _:
            return 4 * dimensions + graph


def _vector_mapping(options: Options) -> dict[str, Any]:
    # Stated even where it is Elasticsearch's default: defaults change between versions.
    index: dict[str, Any] = {"type": options.vector_type}
    if options.vector_type.endswith("hnsw"):
        index |= {"m": options.m, "ef_construction": options.ef_construction}
    if (oversample := _OVERSAMPLE.get(options.vector_type.partition("_")[0])) is not None:
        index["rescore_vector"] = {"oversample": oversample}
    return {
        "type": "dense_vector",
        "dims": options.dimensions,
        "similarity": options.similarity,
        "index": True,
        "index_options": index,
    }


def lacking_properties(revision: Revision) -> dict[str, Any]:
    """The mapping of the fields that a revision was made without."""
    return {name: PROPERTIES[name] for name in revision.lacking}


def revision_of(physical: str, described: dict[str, Any]) -> Revision | None:
    """Reads an index's description; None if this service has not made the index.

    Args:
        physical: Name of the physical index.
        described: As Elasticsearch's "get index" answers, or what DESCRIBED leaves of it.
    """
    mapping = described.get("mappings", {})
    meta = mapping.get("_meta", {}).get(_META)
    name, _, number = physical.rpartition("-")
    if meta is None or not number.isdigit():
        return None
    alias = described.get("aliases", {}).get(name, {})
    live = bool(alias.get("is_write_index"))
    try:
        return Revision(
            name,
            int(number),
            meta["space"],
            Options(**meta["options"]),
            meta["created_at"],
            epoch=meta.get("epoch", int(live)),
            promoted_at=meta.get("promoted_at", ""),
            operation=meta.get("operation", ""),
            live=live,
            lacking=tuple(name for name in _LATER if name not in mapping.get("properties", {})),
        )
    except (KeyError, TypeError):  # written by somebody else, or by a version to come
        return None
