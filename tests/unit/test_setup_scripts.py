"""The scripts that make passwords, keys and certificates: linted, and run."""

import base64
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.unit.test_containers import ROOT, tool

SCRIPTS = sorted((ROOT / "deploy").rglob("*.sh"))

CERTUTIL = """#!{python}
import subprocess, sys, zipfile
name = "ca" if sys.argv[1] == "ca" else "elasticsearch"
out = sys.argv[sys.argv.index("--out") + 1]
subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
    "ec_paramgen_curve:P-256", "-noenc", "-subj", f"/CN={{name}}", "-keyout", f"{{out}}.key",
    "-out", f"{{out}}.crt"], check=True, capture_output=True)
with zipfile.ZipFile(out, "w") as made:
    made.write(f"{{out}}.crt", f"{{name}}/{{name}}.crt")
    made.write(f"{{out}}.key", f"{{name}}/{{name}}.key")
"""
USERS = """#!/bin/bash
[[ $1 == useradd && $3 == -p && $5 == -r ]] || exit 1
grep -q "^$2:" "$ES_PATH_CONF/users" && exit 1
echo "$2:$4" >>"$ES_PATH_CONF/users"
echo "$6:$2" >>"$ES_PATH_CONF/users_roles"
"""


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_shellcheck_finds_nothing(script: Path) -> None:
    done = subprocess.run(
        [tool("shellcheck"), str(script)], capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stdout


def program(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """A folder laid out as Elasticsearch's image is, with its tools as far as they matter here."""
    home = tmp_path / "image"
    program(home / "bin" / "elasticsearch-certutil", CERTUTIL.format(python=sys.executable))
    program(home / "bin" / "elasticsearch-users", USERS)
    (home / "lib").mkdir()
    (home / "lib" / "elasticsearch-9.2.2.jar").touch()
    (home / "config").mkdir()
    for name in ("users", "users_roles", "roles.yml", "elasticsearch.yml"):
        (home / "config" / name).touch()
    return home


def environment(tmp_path: Path, **more: str) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "HOME": str(tmp_path), **more}


@pytest.mark.skipif(os.geteuid() != 0, reason="gives files to others, as root in its container")
@pytest.mark.skipif(not shutil.which("unzip"), reason="there is no unzip")
@pytest.mark.skipif(not shutil.which("openssl"), reason="there is no openssl")
class TestElasticsearchSetup:
    def run(self, tmp_path: Path, image: Path) -> dict[str, Path]:
        here = tmp_path / "deploy"
        here.mkdir(exist_ok=True)
        for file in ("configure.sh", "roles.yml"):
            shutil.copy(ROOT / "deploy" / "elasticsearch" / file, here)
        folders = {name: tmp_path / name for name in ("own", "config", "search", "snapshots")}
        for folder in folders.values():
            folder.mkdir(exist_ok=True)
        paths = {name.upper(): str(folder) for name, folder in folders.items()}
        subprocess.run(
            ["bash", str(ROOT / "deploy" / "compose" / "elasticsearch_setup.sh")],
            env=environment(tmp_path, HERE=str(here), ES_HOME=str(image), **paths),
            check=True,
            timeout=60,
        )
        return folders

    def test_each_part_gets_what_it_needs_and_nobody_else_may_read_it(
        self, tmp_path: Path, image: Path
    ) -> None:
        made = self.run(tmp_path, image)

        password = made["search"] / "elasticsearch-password"
        assert (password.stat().st_uid, password.stat().st_mode & 0o777) == (65532, 0o400)
        users = dict(
            line.split(":", 1) for line in (made["config"] / "users").read_text().splitlines()
        )
        assert users["search_service"] == password.read_text()
        assert len(set(users.values())) == 2
        assert all(len(secret) >= 32 for secret in users.values())
        roles = (made["config"] / "users_roles").read_text().split()
        assert roles == ["imagesearch_search:search_service", "superuser:operator"]
        defined = yaml.safe_load((made["config"] / "roles.yml").read_text())
        assert list(defined) == ["imagesearch_search"]
        for file in made["config"].rglob("*"):
            assert file.stat().st_uid == 1000
            assert not file.stat().st_mode & 0o007, file
        certificate = (made["config"] / "certs" / "ca.crt").read_bytes()
        assert (made["search"] / "elasticsearch-ca.crt").read_bytes() == certificate
        assert made["snapshots"].stat().st_uid == 1000
        assert not list(tmp_path.rglob("ca.key"))

    def test_a_second_run_changes_nothing(self, tmp_path: Path, image: Path) -> None:
        made = self.run(tmp_path, image)
        (made["config"] / "elasticsearch.keystore").touch()  # Elasticsearch makes it
        before = {
            file: file.read_bytes()
            for folder in made.values()
            for file in folder.rglob("*")
            if file.is_file()
        }
        self.run(tmp_path, image)

        assert before == {file: file.read_bytes() for file in before}

    def test_a_newer_image_brings_its_own_configuration_and_the_users_stay(
        self, tmp_path: Path, image: Path
    ) -> None:
        made = self.run(tmp_path, image)
        users = (made["config"] / "users").read_text()
        (image / "lib" / "elasticsearch-9.2.2.jar").rename(
            image / "lib" / "elasticsearch-9.3.0.jar"
        )
        (image / "config" / "elasticsearch.yml").write_text("new: true")
        self.run(tmp_path, image)

        assert (made["config"] / "elasticsearch.yml").read_text() == "new: true"
        assert (made["config"] / "users").read_text() == users


class TestKeys:
    def test_the_parts_get_keys_once_that_the_file_of_keys_knows(self, tmp_path: Path) -> None:
        secrets = tmp_path / "secrets"
        for name in ("keys", "gateway", "web", "cli", "grafana"):
            (secrets / name).mkdir(parents=True)
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        command = ["sh", str(ROOT / "deploy" / "compose" / "make_keys.sh")]
        variables = environment(tmp_path, SECRETS=str(secrets)) | {"PATH": path}
        subprocess.run(command, env=variables, cwd=ROOT, check=True, timeout=100)
        made = {file: file.read_text() for file in secrets.rglob("*") if file.is_file()}
        subprocess.run(command, env=variables, cwd=ROOT, check=True, timeout=100)

        assert {file: file.read_text() for file in made} == made
        known = json.loads((secrets / "keys" / "keys.json").read_text())["keys"]
        scopes = {key["name"]: key["scopes"] for key in known}
        assert scopes == {
            "gateway": ["search", "ingest"],
            "page": ["search", "ingest"],
            "operator": ["search", "ingest", "admin"],
        }
        keys = {
            (secrets / file).read_text()
            for file in ("gateway/backend-key", "web/api-key", "cli/api-key")
        }
        assert len(keys) == 3
        assert len((secrets / "grafana" / "admin-password").read_text()) >= 32

    @pytest.mark.skipif(not shutil.which("openssl"), reason="there is no openssl")
    def test_the_secrets_of_kubernetes_fit_together(self, tmp_path: Path) -> None:
        tool("kubectl")
        program(
            tmp_path / "bin" / "imagesearch",
            f"#!/bin/sh\nPYTHONPATH={ROOT}:{ROOT / 'protos'} exec {sys.executable} "
            '-m imagesearch_cli "$@"\n',
        )
        done = subprocess.run(
            ["bash", str(ROOT / "deploy" / "kubernetes" / "make_secrets.sh"), "photos"],
            env=environment(tmp_path) | {"PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}"},
            check=True,
            capture_output=True,
            timeout=100,
        )
        secrets = {
            found["metadata"]["name"]: {
                key: base64.b64decode(value).decode() for key, value in found["data"].items()
            }
            for found in yaml.safe_load_all(done.stdout)
        }

        user = secrets["elasticsearch-search-service"]
        assert (user["username"], user["roles"]) == ("search_service", "imagesearch_search")
        assert len({user["password"], secrets["elasticsearch-operator"]["password"]}) == 2
        known = json.loads(secrets["imagesearch-keys"]["keys.json"])["keys"]
        assert [key["name"] for key in known] == ["gateway", "operator"]
        assert known[0]["id"] in secrets["gateway-backend-key"]["api-key"]
        for name, text in secrets["elasticsearch-tls"].items():
            (tmp_path / name).write_text(text)
        subprocess.run(
            [
                *("openssl", "verify", "-CAfile", "ca.crt", "-purpose", "sslserver"),
                *("-verify_hostname", "elasticsearch", "tls.crt"),
            ],
            cwd=tmp_path,
            check=True,
            capture_output=True,
        )
