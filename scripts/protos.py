"""Regenerates the typed stubs beside each .proto: `python scripts/protos.py [--check]`.

With `--check`, nothing is written: the exit status says whether the committed stubs are up to date.
"""

import argparse
import os
import sys
import tempfile
from pathlib import Path

import google.rpc
import grpc_tools
from grpc_tools import protoc

ROOT = Path(__file__).resolve().parent.parent / "protos"


def include_flags() -> list[str]:
    """Where protoc finds our .proto files, google.rpc's and its own."""
    site_packages = Path(next(iter(google.rpc.__path__))).parents[1]
    well_known = Path(grpc_tools.__file__).parent / "_proto"
    # The package has this one under another name than its own.
    longrunning = Path("google", "longrunning")
    renamed = f"{longrunning}/operations.proto={site_packages / longrunning}/operations_proto.proto"
    return [f"-I{each}" for each in (ROOT, renamed, site_packages, well_known)]


def generate(out: Path) -> None:
    """Writes messages, stubs and their types for every .proto into `out`."""
    # protoc finds plugins by PATH; ours are beside this very Python, activated or not.
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    plugins = ("python", "grpc_python", "mypy", "mypy_grpc")
    arguments = [
        "protoc",
        *include_flags(),
        *(f"--{plugin}_out={out}" for plugin in plugins),
        *(str(path) for path in sorted(ROOT.rglob("*.proto"))),
    ]
    if protoc.main(arguments):
        raise SystemExit("protoc failed")


def stale() -> list[str]:
    """Lists the stubs that differ from what the .proto files say now."""
    with tempfile.TemporaryDirectory() as folder:
        generate(Path(folder))
        fresh = {p.relative_to(folder): p.read_bytes() for p in Path(folder).rglob("*_pb2*")}
    committed = {p.relative_to(ROOT): p.read_bytes() for p in ROOT.rglob("*_pb2*.py*")}
    committed = {k: v for k, v in committed.items() if k.suffix in {".py", ".pyi"}}
    return sorted(
        str(k) for k in fresh.keys() | committed.keys() if fresh.get(k) != committed.get(k)
    )


def main() -> None:
    """Generates, or checks."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="only say whether stubs are stale")
    if not parser.parse_args().check:
        generate(ROOT)
    elif files := stale():
        sys.exit("stale, run `make protos`: " + ", ".join(files))


if __name__ == "__main__":
    main()
