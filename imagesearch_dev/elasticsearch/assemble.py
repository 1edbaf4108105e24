"""Puts a real Elasticsearch together from Maven coordinates: jars, no download page, no Docker."""

import os
import shutil
import tempfile
from pathlib import Path

from filelock import FileLock

VERSION = "9.2.2"

_DESCRIPTOR = """description=Netty 4 based transport implementation
version={version}
name=transport-netty4
java.version=21
elasticsearch.version={version}
classname=org.elasticsearch.transport.netty4.Netty4Plugin
modulename=org.elasticsearch.transport.netty4
has.native.controller=false
"""


class AssembleError(Exception):
    """The jars cannot be had; the message says why."""


def assemble(homes: Path, version: str = VERSION) -> Path:
    """Makes the folder that Elasticsearch calls its home, if it is not there yet.

    Safe when several processes do it at once, and when one is killed in the middle:
    the folder appears whole or not at all.

    Args:
        homes: Folder that keeps one home a version.
        version: Version of Elasticsearch.

    Returns:
        The home: `lib/` with the server's jars, `modules/transport-netty4/`, `plugins/`.

    Raises:
        AssembleError: The jars cannot be fetched.
    """
    home = homes / version
    if home.is_dir():
        return home
    homes.mkdir(parents=True, exist_ok=True)
    with FileLock(homes / f"{version}.lock"):
        if not home.is_dir():
            made = Path(tempfile.mkdtemp(prefix=f"{version}.", dir=homes))
            try:
                _fill(made, version)
                made.rename(home)
            finally:
                shutil.rmtree(made, ignore_errors=True)
    return home


def _fill(home: Path, version: str) -> None:
    server = _jars(f"org.elasticsearch:elasticsearch:{version}")
    netty = _jars(f"org.elasticsearch.plugin:transport-netty4:{version}")
    lib, module = home / "lib", home / "modules" / "transport-netty4"
    for folder in (lib, module, home / "plugins"):
        folder.mkdir(parents=True)
    for jar in server:
        _place(jar, lib)
    names = {jar.name for jar in server}
    for jar in netty:
        if jar.name not in names:
            _place(jar, module)
    descriptor = module / "plugin-descriptor.properties"
    descriptor.write_text(_DESCRIPTOR.format(version=version))


def _jars(coordinate: str) -> list[Path]:
    import jgo
    from jgo.maven import PythonResolver

    try:
        environment = jgo.build(coordinate, resolver=PythonResolver())
    except Exception as error:  # the resolver raises all kinds of things without a network
        raise AssembleError(
            f"cannot fetch {coordinate} ({error}). Without a Maven registry, set "
            "ELASTICSEARCH_URL to a server of your own."
        ) from error
    return [Path(jar) for jar in environment.all_jars]


def _place(jar: Path, folder: Path) -> None:
    try:
        os.link(jar, folder / jar.name)
    except OSError:  # another file system
        shutil.copy2(jar, folder)
