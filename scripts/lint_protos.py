"""Lints the contracts with buf, where buf or Go is installed: `python scripts/lint_protos.py`.

buf gets a descriptor set made by protoc, so that it need not fetch google's protos.
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from protos import ROOT, include_flags

BUF = "github.com/bufbuild/buf/cmd/buf@v1.75.0"


def main() -> None:
    """Lints; the exit status says whether the contracts are clean."""
    if shutil.which("buf"):
        buf = ["buf"]
    elif shutil.which("go"):
        buf = ["go", "run", BUF]
    else:
        print("neither buf nor go is installed: contracts not linted")
        return
    with tempfile.TemporaryDirectory() as folder:
        image = Path(folder, "contracts.binpb")
        subprocess.run(
            [
                *(sys.executable, "-m", "grpc_tools.protoc", *include_flags()),
                *("--include_imports", "--include_source_info", f"--descriptor_set_out={image}"),
                *map(str, sorted(ROOT.rglob("*.proto"))),
            ],
            check=True,
        )
        config = ROOT.parent / "buf.yaml"
        sys.exit(subprocess.run([*buf, "lint", str(image), "--config", str(config)]).returncode)


if __name__ == "__main__":
    main()
