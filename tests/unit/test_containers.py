"""Dockerfiles and compose file, as far as they can be checked without an engine."""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deployed import SERVICES, settings_given
from tests.unit.test_architecture import OWNER, PACKAGES, imports, modules

ROOT = Path(__file__).resolve().parents[2]

IMAGES = (*SERVICES, "imagesearch_cli")
ROLES = {
    "embedder_service": "embedder",
    "gateway": "gateway",
    "imagesearch_cli": "cli",
    "imagesearch_web": "web",
    "search_service": "search",
}
ONE_SHOT = {"cli", "elasticsearch_setup", "keys"}
"""What ends by itself."""


def dockerfile(image: str) -> str:
    return (ROOT / "docker" / f"{image}.Dockerfile").read_text()


def packages_needed(package: str) -> set[str]:
    """A package of ours, and all that it imports of ours, directly or not."""
    needed = {package}
    for module in modules(package):
        for name in {name.split(".")[0] for name in imports(module)}:
            if name in PACKAGES and name not in needed:
                needed |= packages_needed(name)
    return needed


def tool(name: str) -> str:
    """A program of the environment or of the machine; without it the test is skipped."""
    beside = Path(sys.executable).with_name(name)
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        pytest.skip(f"there is no {name}")
    return found


class TestImages:
    @pytest.mark.parametrize("image", IMAGES)
    def test_an_image_has_the_packages_its_service_imports_and_no_other(self, image: str) -> None:
        copied = set(re.findall(r"^COPY (\w+) \1$", dockerfile(image), re.MULTILINE))

        assert copied == {"protos"} | packages_needed(image)

    @pytest.mark.parametrize("image", IMAGES)
    def test_an_image_is_built_from_what_the_context_lets_through(self, image: str) -> None:
        allowed = {
            line[1:]
            for line in (ROOT / ".dockerignore").read_text().splitlines()
            if line[:1] == "!"
        }
        for names in re.findall(r"^COPY (?!--from)(.+) \S+$", dockerfile(image), re.MULTILINE):
            for name in names.split():
                assert name.split("/")[0] in allowed
                assert (ROOT / name).exists(), name

    @pytest.mark.parametrize("image", IMAGES)
    def test_an_image_runs_as_nobody_in_particular(self, image: str) -> None:
        text = dockerfile(image)

        assert re.findall(r"^USER (.+)$", text, re.MULTILINE) == ["65532:65532"]
        assert f'ENTRYPOINT ["python", "-m", "{image}"]' in text

    @pytest.mark.parametrize("image", IMAGES)
    def test_an_image_installs_only_what_is_locked_by_hash(self, image: str) -> None:
        commands = dockerfile(image).replace("\\\n", " ")
        installs = re.findall(r"pip install ([^&\n]+)", commands)

        assert len(installs) == 3
        for arguments, lock in zip(installs, ("build", ROLES[image], None), strict=False):
            if lock:
                assert f"-r requirements/{lock}.txt" in arguments
                assert "--require-hashes --only-binary :all:" in arguments
            else:
                assert "--no-deps /wheels/" in arguments  # our own, just built

    @pytest.mark.parametrize("image", IMAGES)
    def test_an_image_begins_with_a_named_version(self, image: str) -> None:
        text = dockerfile(image)

        assert re.search(r"^ARG PYTHON=python:\d+\.\d+\.\d+-slim-\w+$", text, re.MULTILINE)
        assert re.findall(r"^FROM (\S+)", text, re.MULTILINE) == ["${PYTHON}", "${PYTHON}"]
        assert "org.opencontainers.image.version=" in text

    @pytest.mark.parametrize("image", IMAGES)
    def test_hadolint_finds_nothing(self, image: str) -> None:
        file = ROOT / "docker" / f"{image}.Dockerfile"
        done = subprocess.run(
            [tool("hadolint"), str(file)], capture_output=True, text=True, check=False, timeout=60
        )

        assert done.returncode == 0, done.stdout + done.stderr


def content() -> dict[str, Any]:
    read: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    return read


def compose() -> dict[str, Any]:
    services: dict[str, Any] = content()["services"]
    return services


def default(value: str) -> str:
    """What Compose makes of ${NAME:-default} where NAME is not set."""
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", value)


class TestCompose:
    def test_compose_itself_takes_the_file(self) -> None:
        docker = tool("docker")
        if subprocess.run([docker, "compose", "version"], capture_output=True).returncode:
            pytest.skip("docker has no compose here")
        command = [docker, "compose", "--profile", "cpu", "--profile", "observability", "config"]
        done = subprocess.run([*command, "-q"], cwd=ROOT, capture_output=True, text=True)

        assert done.returncode == 0, done.stderr

    def test_every_part_that_stays_has_a_health_check(self) -> None:
        for name, service in compose().items():
            if name not in ONE_SHOT and "healthcheck" not in service:
                built = (ROOT / service["build"]["dockerfile"]).read_text()
                assert re.search(r"^HEALTHCHECK --interval", built, re.MULTILINE), name

    def test_a_health_check_asks_where_the_service_listens(self) -> None:
        for name, service in compose().items():
            listens = [v for k, v in service.get("environment", {}).items() if k[-7:] == "_LISTEN"]
            if service.get("image", "").startswith("imagesearch/") and listens:
                port = listens[0].rpartition(":")[2]
                built = (ROOT / service["build"]["dockerfile"]).read_text()
                assert f"127.0.0.1:{port}" in built[built.index("HEALTHCHECK") :], name

    @pytest.mark.parametrize("name", sorted(compose()))
    def test_a_container_may_do_no_more_than_it_needs(self, name: str) -> None:
        service = compose()[name]

        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert "no-new-privileges:true" in service["security_opt"]
        assert "privileged" not in service
        limits = service["deploy"]["resources"]["limits"]
        assert limits["memory"]
        assert limits["pids"]
        if name == "elasticsearch_setup":
            assert service["network_mode"] == "none"
        else:
            assert not {"user", "cap_add"} & service.keys()

    def test_ports_are_published_to_this_machine_alone(self) -> None:
        published = [port for service in compose().values() for port in service.get("ports", ())]

        assert published
        assert all(port.startswith("127.0.0.1:") for port in published)

    def test_images_of_others_are_named_with_their_version(self) -> None:
        for name, service in compose().items():
            if "build" not in service:
                assert re.search(r":v?\d+\.\d+\.\d+$", service["image"]), name

    def test_no_secret_is_in_the_environment(self) -> None:
        """Secrets come in files: what is in the environment shows in `docker inspect`."""
        for name, service in compose().items():
            for variable in service.get("environment", {}):
                if re.search(r"PASSWORD|API_KEY|TOKEN", variable):
                    assert variable.endswith("_FILE"), f"{name}: {variable}"
        assert "PASSWORD" not in (ROOT / ".env.example").read_text()

    def test_every_option_is_in_the_example(self) -> None:
        options = set(re.findall(r"\$\{(\w+):-[^}]+\}", (ROOT / "docker-compose.yml").read_text()))
        shown = re.findall(r"^#(\w+)=(.+)$", (ROOT / ".env.example").read_text(), re.MULTILINE)

        assert {name for name, _ in shown} == options
        text = (ROOT / "docker-compose.yml").read_text()
        assert all(f"${{{name}:-{value}}}" in text for name, value in shown)

    def test_parts_start_when_what_they_need_is_well(self) -> None:
        services = compose()
        for name, service in services.items():
            for other, how in service.get("depends_on", {}).items():
                once = other in ONE_SHOT
                wanted = "service_completed_successfully" if once else "service_healthy"
                assert how["condition"] == wanted, f"{name} on {other}"
        assert services["gateway"]["depends_on"].keys() >= {"search_service", "embedder_service"}
        assert "elasticsearch" in services["search_service"]["depends_on"]
        assert "gateway" in services["imagesearch_web"]["depends_on"]

    def test_every_volume_is_declared_and_every_file_is_there(self) -> None:
        declared = set(content()["volumes"])
        used = set()
        for service in compose().values():
            for volume in service.get("volumes", ()):
                source = volume.split(":")[0]
                if source.startswith("./"):
                    assert (ROOT / source).exists(), source
                else:
                    used.add(source)
        assert used == declared

    def test_secrets_are_read_only_for_those_who_use_them(self) -> None:
        for name, service in compose().items():
            if name in ONE_SHOT - {"cli"}:
                continue
            for volume in service.get("volumes", ()):
                source = volume.split(":")[0]
                if source.endswith("_secrets") or (source == "keys" and name != "cli"):
                    assert volume.endswith(":ro"), f"{name}: {volume}"

    def test_the_gpu_is_reserved_for_the_embedder_alone(self) -> None:
        reserving = {
            name
            for name, service in compose().items()
            if "reservations" in service["deploy"]["resources"]
        }

        assert reserving == {"embedder_service_gpu"}
        assert set(OWNER["torch"]) == {"embedder_service"}

    @pytest.mark.parametrize("service", [*SERVICES, "embedder_service_gpu"])
    def test_settings_in_compose_are_settings(
        self, service: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A name that no setting has would be passed over in silence."""
        given = {name: default(value) for name, value in compose()[service]["environment"].items()}

        settings_given(service.removesuffix("_gpu"), given, tmp_path, monkeypatch)

    def test_a_service_is_stopped_after_its_grace(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in SERVICES:
            grace = getattr(settings_given(name, {}, tmp_path, monkeypatch), "grace_s")  # noqa: B009
            assert float(compose()[name]["stop_grace_period"].removesuffix("s")) > grace

    def test_elasticsearch_is_reached_by_search_service_alone(self) -> None:
        assert content()["networks"]["elasticsearch"] == {"internal": True}
        there = {
            name
            for name, service in compose().items()
            if "elasticsearch" in service.get("networks", ())
        }
        assert there == {"elasticsearch", "search_service"}

    def test_prometheus_asks_every_service_where_it_tells_its_metrics(self) -> None:
        config = yaml.safe_load((ROOT / "deploy" / "prometheus" / "prometheus.yml").read_text())
        asked = {
            (name, found["port"])
            for job in config["scrape_configs"]
            for found in job.get("dns_sd_configs", ())
            for name in found["names"]
        }
        told = set()
        for name in SERVICES:
            service = compose()[name]
            (listen,) = (v for k, v in service["environment"].items() if "METRICS_LISTEN" in k)
            networks = service.get("networks", {})
            aliases = (
                networks["default"]["aliases"]
                if isinstance(networks, dict) and networks
                else [name]
            )
            told |= {(alias, int(listen.rpartition(":")[2])) for alias in aliases}
        assert asked == told
