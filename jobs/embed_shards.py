"""Embeds webdataset, zip or parquet shards on many GPUs: `python -m jobs.embed_shards`.

On one machine it uses its GPUs, or its processor; on a cluster, those of the cluster that
RAY_ADDRESS or --ray names. Shards that are done are not done again. IMAGESEARCH_API_KEY is the key
for search_service.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ray

from imagesearch_ingest import digests
from imagesearch_ingest.items import SourceError
from imagesearch_ingest.mapping import Mapping
from imagesearch_ingest.metadata import Describing
from imagesearch_ingest.opening import Kind, Opening
from imagesearch_ingest.patterns import PathPattern
from imagesearch_ingest.shards import expand
from jobs.checkpoints import Checkpoints
from jobs.embedding import Plan, ShardEmbedder
from jobs.writing import ToParquet, ToSearch
from service_kit.tls.client import ClientTls


def run(plan: Plan, shards: Sequence[str], workers: int) -> tuple[int, int, list[str]]:
    """Embeds shards; a line is printed for each that is done.

    Args:
        plan: What is done with each.
        shards: Their URLs.
        workers: How many at a time, each with a model and, where there are any, a GPU of its
            own. 0: as many as there are GPUs, or one.

    Returns:
        Images stored, images refused, and the shards that could not be read to their end.
    """
    available: dict[str, float] = ray.cluster_resources()
    gpus = 1.0 if available.get("GPU", 0) >= 1 else 0.0
    workers = workers or int(available.get("GPU", 0)) or 1
    stored = refused = 0
    failed: list[str] = []
    rows: Any = (
        ray.data.from_items([{"shard": shard} for shard in shards], override_num_blocks=len(shards))
        .map_batches(
            ShardEmbedder,
            fn_constructor_args=(plan,),
            batch_size=1,
            concurrency=(1, min(workers, len(shards))),
            num_gpus=gpus,
            num_cpus=plan.decoders if gpus else 1,
        )
        .iter_rows()
    )
    for row in rows:
        stored += row["documents"]
        refused += row["refused"]
        if row["error"]:
            failed.append(row["shard"])
        what = f"{row['documents']} stored, {row['refused']} refused {row['error']}"
        print(f"{row['shard']}: {what}".rstrip(), flush=True)
    return stored, refused, failed


def main() -> None:
    """Runs the job. Exit status: 0 all is stored, 1 some images were refused or shards damaged."""
    options = _parser().parse_args()
    pattern = PathPattern(options.pattern) if options.pattern else None
    try:
        shards = [url for place in options.shards for url in expand(place)]
        opening = Opening(Kind(options.format), mapping=Mapping.of(options.map))
    except SourceError as error:
        sys.exit(str(error))
    writer = (
        ToParquet(options.output, options.index)
        if options.output
        else ToSearch(
            options.search,
            options.index,
            os.environ.get("IMAGESEARCH_API_KEY", ""),
            _tls(options),
        )
    )
    job = digests.recipe(writer, options.image_model, options.tag, options.map, options.pattern)
    plan = Plan(
        image_model=options.image_model,
        text_model=options.text_model,
        opening=opening,
        describing=Describing(options.tag, pattern),
        writer=writer,
        checkpoints=options.checkpoints,
        job=job,
        decoders=options.decoders,
    )
    checkpoints = Checkpoints(plan.checkpoints, plan.job)
    try:
        left = [shard for shard in shards if checkpoints.read(shard) is None]
    except OSError as error:
        sys.exit(f"a shard cannot be read: {error}")
    print(f"{len(shards) - len(left)} of {len(shards)} shards are done already", flush=True)
    if not left:
        return
    ray.init(address=options.ray or None, log_to_driver=False)
    stored, refused, failed = run(plan, left, options.workers)
    print(f"{stored} images stored, {refused} refused, {len(failed)} shards damaged")
    sys.exit(1 if refused or failed else 0)


def _tls(options: argparse.Namespace) -> ClientTls | None:
    return ClientTls.wanted(
        options.tls, options.tls_ca, options.tls_certificate, options.tls_key, options.tls_name
    )


def _parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="jobs.embed_shards", description=__doc__)
    add = made.add_argument
    add("shards", nargs="+", help="URLs; ranges such as shard-{0000..0123}.tar are expanded")
    add("--index", default="my-image-embeddings", help="name of the index")
    add("--search", default="127.0.0.1:50052", help="address of search_service, from the workers")
    add("--tls", action="store_true", help="encrypt the connection; so does each of the next four")
    add("--tls-ca", type=Path, metavar="FILE", help="authorities of search_service's certificate")
    add("--tls-certificate", type=Path, metavar="FILE", help="certificate of the workers' own")
    add("--tls-key", type=Path, metavar="FILE", help="its private key")
    add("--tls-name", default="", help="name in the certificate, if it is not the host")
    add("--output", metavar="URL", help="write parquet files there instead")
    add("--checkpoints", required=True, metavar="URL", help="where done shards are noted")
    add("--image-model", default="clip-ViT-B-32", help="folder or hub name")
    add("--text-model", default="clip-ViT-B-32-multilingual-v1", help="folder or hub name")
    add("--format", default="auto", choices=[kind.value for kind in Kind])
    add("--map", action="append", default=[], metavar="FIELD=COLUMN")
    add("--pattern", default="", help="what paths say, as of `imagesearch index`")
    add("--tag", action="append", default=[], help="label put on every image")
    add("--workers", type=int, default=0, help="default: one a GPU")
    add("--decoders", type=int, default=4, help="threads that decode, for each worker")
    add("--ray", default="", help="address of a Ray cluster")
    return made


if __name__ == "__main__":
    main()
