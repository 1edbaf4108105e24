"""The manifests, as kustomize renders them: valid, closed, and true to what the services are."""

import functools
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from tests.deployed import settings_given
from tests.unit.test_containers import ROOT, tool

FOLDER = ROOT / "deploy" / "kubernetes"
OVERLAYS = ("cpu", "gpu", "production")
VERSIONS = ("1.30", "1.34")
"""The oldest Kubernetes that is supported, for preStop's sleep, and a newer one."""
FOREIGN = {"Certificate", "Elasticsearch", "Issuer", "PodMonitor"}
"""Kinds that operators bring; Kubernetes has no schema of them."""
GRPC = {"embedder": "embedder_service", "gateway": "gateway", "search": "search_service"}
DEPLOYMENTS = {**GRPC, "web": "imagesearch_web"}
ELASTICSEARCH = {
    "cpu": {"app.kubernetes.io/name": "elasticsearch"},
    "gpu": {"app.kubernetes.io/name": "elasticsearch"},
    "production": {"elasticsearch.k8s.elastic.co/cluster-name": "imagesearch"},
}

Thing = dict[str, Any]


@functools.cache
def rendered(overlay: str) -> tuple[Thing, ...]:
    """Every object of an overlay."""
    command = [tool("kubectl"), "kustomize", str(FOLDER / "overlays" / overlay)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return tuple(yaml.safe_load_all(done.stdout))


def of_kind(overlay: str, kind: str) -> dict[str, Thing]:
    return {
        thing["metadata"]["name"]: thing for thing in rendered(overlay) if thing["kind"] == kind
    }


def pod_of(thing: Thing) -> Thing:
    spec: Thing = thing["spec"]["template"]["spec"]
    return spec


def container_of(overlay: str, name: str) -> Thing:
    (container,) = pod_of(of_kind(overlay, "Deployment")[name])["containers"]
    found: Thing = container
    return found


def pods(overlay: str) -> Iterator[tuple[str, Thing]]:
    for kind in ("Deployment", "Job", "StatefulSet"):
        for name, thing in of_kind(overlay, kind).items():
            yield name, pod_of(thing)


def environment(container: Thing) -> dict[str, str]:
    return {entry["name"]: entry["value"] for entry in container.get("env", ())}


@pytest.mark.parametrize("overlay", OVERLAYS)
class TestObjects:
    @pytest.mark.parametrize("version", VERSIONS)
    def test_kubernetes_knows_every_field(self, overlay: str, version: str) -> None:
        for thing in rendered(overlay):
            if thing["kind"] not in FOREIGN:
                kubernetes_validate.validate(thing, version, strict=True)

    def test_all_are_in_our_namespace(self, overlay: str) -> None:
        for thing in rendered(overlay):
            if thing["kind"] != "Namespace":
                assert thing["metadata"]["namespace"] == "imagesearch"

    def test_nobody_may_do_more_than_the_restricted_standard_allows(self, overlay: str) -> None:
        for name, pod in pods(overlay):
            assert pod["automountServiceAccountToken"] is False
            assert pod["enableServiceLinks"] is False
            context = pod["securityContext"]
            assert context["runAsNonRoot"] is True, name
            assert context["runAsUser"] > 0
            assert context["seccompProfile"] == {"type": "RuntimeDefault"}
            for container in (*pod["containers"], *pod.get("initContainers", ())):
                closed = container["securityContext"]
                assert closed["readOnlyRootFilesystem"] is True
                assert closed["allowPrivilegeEscalation"] is False
                assert closed["capabilities"] == {"drop": ["ALL"]}
                for part in ("requests", "limits"):
                    assert container["resources"][part].keys() >= {"cpu", "memory"}

    def test_images_are_named_with_their_version(self, overlay: str) -> None:
        for _, pod in pods(overlay):
            for container in (*pod["containers"], *pod.get("initContainers", ())):
                assert re.search(r":\d+\.\d+\.\d+$|@sha256:", container["image"])

    def test_what_is_mounted_is_there(self, overlay: str) -> None:
        claims = of_kind(overlay, "PersistentVolumeClaim").keys()
        secrets = {*made_secrets(), *of_kind(overlay, "Secret")}
        secrets |= {c["spec"]["secretName"] for c in of_kind(overlay, "Certificate").values()}
        if of_kind(overlay, "Elasticsearch"):
            secrets = secrets - {"elasticsearch-tls"} | {"imagesearch-es-http-certs-public"}
        for kind in ("Deployment", "Job", "StatefulSet"):
            for name, thing in of_kind(overlay, kind).items():
                pod = pod_of(thing)
                volumes = {volume["name"]: volume for volume in pod["volumes"]}
                for template in thing["spec"].get("volumeClaimTemplates", ()):
                    volumes[template["metadata"]["name"]] = {}
                mounted = {
                    mount["name"]
                    for container in (*pod["containers"], *pod.get("initContainers", ()))
                    for mount in container["volumeMounts"]
                }
                assert mounted == volumes.keys(), name
                for volume in volumes.values():
                    if claim := volume.get("persistentVolumeClaim"):
                        assert claim["claimName"] in claims
                    if config := volume.get("configMap"):
                        assert config["name"] in of_kind(overlay, "ConfigMap")
                    assert set(secrets_of(volume)) <= secrets

    def test_the_gpu_is_the_embedders_alone(self, overlay: str) -> None:
        with_gpu = {
            name
            for name, pod in pods(overlay)
            if any("nvidia.com/gpu" in c["resources"]["limits"] for c in pod["containers"])
        }

        assert with_gpu == ({"embedder"} if overlay == "gpu" else set())


def secrets_of(volume: Thing) -> Iterator[str]:
    """Names of the Secrets that a volume needs."""
    if secret := volume.get("secret"):
        yield secret["secretName"]
    for source in volume.get("projected", {}).get("sources", ()):
        yield source["secret"]["name"]


def made_secrets() -> set[str]:
    """Names of the Secrets that make_secrets.sh makes."""
    text = (FOLDER / "make_secrets.sh").read_text()
    return set(re.findall(r"^secret ([a-z-]+) ", text, re.MULTILINE))


@pytest.mark.parametrize("overlay", OVERLAYS)
@pytest.mark.parametrize("name", DEPLOYMENTS)
class TestServices:
    def test_settings_are_settings(
        self, overlay: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A name that no setting has would be passed over in silence."""
        given = environment(container_of(overlay, name))

        settings = settings_given(DEPLOYMENTS[name], given, tmp_path, monkeypatch)

        deployment = of_kind(overlay, "Deployment")[name]
        pod = pod_of(deployment)
        pause = pod["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
        grace_s = settings.grace_s  # type: ignore[attr-defined]
        assert pod["terminationGracePeriodSeconds"] > grace_s + pause

    def test_ports_are_those_that_are_listened_on(self, overlay: str, name: str) -> None:
        container = container_of(overlay, name)
        ports = {port["name"]: port["containerPort"] for port in container["ports"]}
        listened = {
            variable: int(value.rpartition(":")[2])
            for variable, value in environment(container).items()
            if variable.endswith("LISTEN")
        }
        assert sorted(ports.values()) == sorted(listened.values())
        (metrics,) = (p for variable, p in listened.items() if "METRICS" in variable)
        assert ports["metrics"] == metrics
        service = of_kind(overlay, "Service")[name]
        assert service["spec"]["clusterIP"] == "None"
        for port in service["spec"]["ports"]:
            assert port["port"] == ports[port["name"]]

    def test_it_is_asked_how_it_is(self, overlay: str, name: str) -> None:
        container = container_of(overlay, name)
        ports = {port["name"]: port["containerPort"] for port in container["ports"]}
        if name in GRPC:
            live = {"port": ports["health"], "service": "liveness"}
            assert container["startupProbe"]["grpc"] == live
            assert container["livenessProbe"]["grpc"] == live
            assert container["readinessProbe"]["grpc"]["port"] == ports["health"]
            assert not container["readinessProbe"]["grpc"].get("service")
        else:
            assert container["livenessProbe"]["httpGet"]["path"] == "/healthz"
            assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"

    def test_it_is_spread_scaled_and_never_away_as_a_whole(self, overlay: str, name: str) -> None:
        deployment = of_kind(overlay, "Deployment")[name]
        labels = deployment["spec"]["template"]["metadata"]["labels"]
        selector = deployment["spec"]["selector"]["matchLabels"]
        assert selector.items() <= labels.items()
        spread = pod_of(deployment)["topologySpreadConstraints"]
        assert [each["topologyKey"] for each in spread] == [
            "kubernetes.io/hostname",
            "topology.kubernetes.io/zone",
        ]
        assert all(each["labelSelector"]["matchLabels"] == selector for each in spread)
        budget = of_kind(overlay, "PodDisruptionBudget")[name]["spec"]
        assert budget["selector"]["matchLabels"] == selector
        scaler = of_kind(overlay, "HorizontalPodAutoscaler")[name]["spec"]
        assert scaler["scaleTargetRef"]["name"] == name
        assert "replicas" not in deployment["spec"]
        assert "cpu" in {each.get("resource", {}).get("name") for each in scaler["metrics"]}
        assert scaler["minReplicas"] >= (2 if overlay == "production" else 1)

    def test_names_that_it_calls_are_services(self, overlay: str, name: str) -> None:
        services = of_kind(overlay, "Service")
        for value in environment(container_of(overlay, name)).values():
            if found := re.fullmatch(r"dns:///([a-z-]+):(\d+)", value):
                spec = services[found[1]]["spec"]
                assert int(found[2]) in [port["port"] for port in spec["ports"]]


@pytest.mark.parametrize("overlay", OVERLAYS)
class TestNetwork:
    def test_everything_is_denied_but_the_edges_that_are_needed(self, overlay: str) -> None:
        """Of two pods one reaches the other only where both sides' policies let it."""
        name = "app.kubernetes.io/name"
        actors = {short: {name: label} for short, label in DEPLOYMENTS.items()}
        actors |= {"elasticsearch": ELASTICSEARCH[overlay], "job": {name: "fetch-models"}}
        policies = [each["spec"] for each in of_kind(overlay, "NetworkPolicy").values()]
        assert {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]} in policies
        edges = {
            (source, target, port)
            for source, here in actors.items()
            for target, there in actors.items()
            for port in allowed(policies, "egress", here, there)
            & allowed(policies, "ingress", there, here)
            if source != target
        }

        assert edges == {
            ("web", "gateway", 50050),
            ("gateway", "embedder", 50051),
            ("gateway", "search", 50052),
            ("search", "elasticsearch", 9200),
        }

    def test_prometheus_gets_to_every_port_of_metrics(self, overlay: str) -> None:
        (open_ports,) = (
            {port["port"] for port in each["spec"]["ingress"][0]["ports"]}
            for each in of_kind(overlay, "NetworkPolicy").values()
            if each["metadata"]["name"] == "metrics"
        )
        ports = {
            port["containerPort"]
            for name in DEPLOYMENTS
            for port in container_of(overlay, name)["ports"]
            if port["name"] == "metrics"
        }
        assert open_ports == ports
        for name in DEPLOYMENTS:
            labels = of_kind(overlay, "Deployment")[name]["spec"]["template"]["metadata"]["labels"]
            assert labels["app.kubernetes.io/part-of"] == "imagesearch"


def allowed(policies: list[Thing], way: str, here: Thing, there: Thing) -> set[int]:
    """Ports of pods `there` that policies of pods `here` let through, one way."""
    ports = set()
    for policy in policies:
        if not matches(policy["podSelector"], here):
            continue
        for rule in policy.get(way, ()):
            peers = rule["to" if way == "egress" else "from"]
            if any("podSelector" in p and "namespaceSelector" not in p
                   and matches(p["podSelector"], there) for p in peers):  # fmt: skip
                ports |= {port["port"] for port in rule["ports"]}
    return ports


def matches(selector: Thing, labels: Thing) -> bool:
    wanted: Thing = selector.get("matchLabels", {})
    return wanted.items() <= labels.items()


class TestProduction:
    def test_certificates_are_for_the_names_that_are_called(self) -> None:
        certificates = {
            each["spec"]["secretName"]: each["spec"].get("dnsNames", [])
            for each in of_kind("production", "Certificate").values()
        }
        called = {
            found[1]
            for name in DEPLOYMENTS
            for value in environment(container_of("production", name)).values()
            if (found := re.fullmatch(r"dns:///([a-z-]+):\d+", value))
        }
        assert called == set(GRPC)
        for name in called:
            assert name in certificates[f"{name}-tls"]

    def test_the_two_services_behind_take_calls_of_the_gateway_alone(self) -> None:
        for name, prefix in (("embedder", "EMBEDDER"), ("search", "SEARCH")):
            given = environment(container_of("production", name))
            assert given[f"{prefix}_TLS_CLIENT_CA_FILE"] == "/tls/ca.crt"
            assert given[f"{prefix}_TLS_ALLOWED_CLIENTS"] == "gateway"

    def test_files_named_in_settings_are_mounted(self) -> None:
        for name in DEPLOYMENTS:
            container = container_of("production", name)
            places = [mount["mountPath"] for mount in container["volumeMounts"]]
            for variable, value in environment(container).items():
                if value.startswith("/") or value.startswith("file:///"):
                    path = value.removeprefix("file://")
                    assert any(f"{path}/".startswith(f"{place}/") for place in places), variable

    def test_embedders_grow_in_number_by_a_metric_that_there_is(self) -> None:
        from embedder_service.metrics import StatisticsCollector

        scaler = of_kind("production", "HorizontalPodAutoscaler")["embedder"]["spec"]
        (wanted,) = (m["pods"]["metric"]["name"] for m in scaler["metrics"] if m["type"] == "Pods")
        values = yaml.safe_load(
            (FOLDER / "components" / "queue-autoscaling" / "adapter-values.yaml").read_text()
        )
        (rule,) = values["rules"]["custom"]
        assert rule["name"]["as"] == wanted
        served = {metric.name: metric.type for metric in StatisticsCollector([]).collect()}
        named = set(re.findall(r"imagesearch_\w+(?=\{)", rule["metricsQuery"]))
        for each in named:
            assert served[re.sub(r"_(sum|count)$", "", each)] == "histogram"

    def test_elasticsearch_has_the_role_and_the_user_of_search_service(self) -> None:
        (cluster,) = of_kind("production", "Elasticsearch").values()

        assert cluster["spec"]["auth"]["roles"] == [{"secretName": "elasticsearch-roles"}]
        (realm,) = cluster["spec"]["auth"]["fileRealm"]
        assert realm["secretName"] in made_secrets()
        assert "elasticsearch-roles" in of_kind("production", "Secret")


def test_the_job_and_the_embedders_have_the_same_models() -> None:
    (job,) = pod_of(of_kind("cpu", "Job")["fetch-models"])["containers"]
    wanted = environment(container_of("cpu", "embedder"))

    assert environment(job).items() <= wanted.items()


def test_compose_and_kubernetes_run_the_same_elasticsearch() -> None:
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    (node,) = pod_of(of_kind("cpu", "StatefulSet")["elasticsearch"])["containers"]
    (cluster,) = of_kind("production", "Elasticsearch").values()

    assert node["image"] == compose["elasticsearch"]["image"]
    assert cluster["spec"]["version"] == node["image"].partition(":")[2]
    settings = environment(node)
    settings.pop("ES_JAVA_OPTS")
    assert settings.items() <= compose["elasticsearch"]["environment"].items()


def test_the_pods_metrics_have_the_jobs_that_the_alerts_are_about() -> None:
    (monitor,) = of_kind("production", "PodMonitor").values()
    assert monitor["spec"]["jobLabel"] == "app.kubernetes.io/name"
    alerts = (ROOT / "deploy" / "prometheus" / "alerts.yml").read_text()
    jobs = set(re.findall(r'job="([^"]+)"', alerts))

    assert jobs
    assert jobs <= set(DEPLOYMENTS.values())
