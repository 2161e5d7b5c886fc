"""deploy/k8s: renders, is valid, and holds to the restricted pod security standard."""

from collections.abc import Iterator
from typing import Any

import kubernetes_validate
import pytest

from tests.deploy.files import (
    DEPLOYABLES,
    ROOT,
    SERVICES,
    of_kind,
    pod,
    rendered,
    secrets_maker,
    workloads,
)

pytestmark = pytest.mark.slow

FOLDERS = (
    "base",
    "migrations",
    "bundled",
    "overlays/dev",
    "overlays/production",
    "overlays/production/migrations",
)
OVERLAYS = ("overlays/dev", "overlays/production")
HARMLESS_VOLUMES = {"configMap", "emptyDir", "projected", "persistentVolumeClaim"}
PODS = [(overlay, name) for overlay in OVERLAYS for name in workloads(overlay)]
SERVERS = [
    (overlay, name)
    for overlay in OVERLAYS
    for name in of_kind(overlay, "Deployment", "StatefulSet")
]


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_object_is_valid(folder: str) -> None:
    """By the schemas of the newest Kubernetes, unknown fields refused."""
    documents = rendered(folder)

    assert documents
    for document in documents:
        kubernetes_validate.validate(document, kubernetes_validate.latest_version(), strict=True)


@pytest.mark.parametrize(("overlay", "name"), PODS)
class TestEveryPod:
    """The restricted standard, and what goes beyond it."""

    def test_it_is_restricted(self, overlay: str, name: str) -> None:
        """Every container: not root, nothing to gain, nothing to write to."""
        spec = pod(workloads(overlay)[name])

        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["runAsUser"] > 0
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not spec.keys() & {"hostNetwork", "hostPID", "hostIPC"}
        for container in spec["containers"] + spec.get("initContainers", []):
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert not [port for port in container.get("ports", []) if "hostPort" in port]

    def test_its_volumes_are_harmless_and_bounded(self, overlay: str, name: str) -> None:
        """No host path; what it writes has a limit; secrets are for its group to read."""
        for volume in pod(workloads(overlay)[name])["volumes"]:
            (kind,) = volume.keys() - {"name"}
            assert kind in HARMLESS_VOLUMES
            if kind == "emptyDir":
                assert volume[kind]["sizeLimit"]
            if kind == "projected":
                assert volume[kind]["defaultMode"] == 0o440

    def test_it_has_no_way_to_the_cluster(self, overlay: str, name: str) -> None:
        """No token, an account of its own that nothing is granted to, no service links."""
        spec = pod(workloads(overlay)[name])
        accounts = of_kind(overlay, "ServiceAccount")

        assert spec["automountServiceAccountToken"] is False
        assert spec["enableServiceLinks"] is False
        assert accounts[spec["serviceAccountName"]]["automountServiceAccountToken"] is False
        assert not [item for item in rendered(overlay) if "Role" in item["kind"]]

    def test_its_resources_are_told(self, overlay: str, name: str) -> None:
        """Memory is what is asked for and no more; no CPU limit throttles an event loop."""
        (container,) = pod(workloads(overlay)[name])["containers"]
        requests, limits = container["resources"]["requests"], container["resources"]["limits"]

        assert requests.keys() == {"cpu", "memory", "ephemeral-storage"}
        assert limits.keys() == {"memory", "ephemeral-storage"}
        assert limits["memory"] == requests["memory"]

    def test_no_secret_comes_by_the_environment(self, overlay: str, name: str) -> None:
        """Only names of files do."""
        (container,) = pod(workloads(overlay)[name])["containers"]

        assert not [item for item in container.get("env", []) if "valueFrom" in item]
        assert not [item for item in container.get("envFrom", []) if "secretRef" in item]


@pytest.mark.parametrize(("overlay", "name"), SERVERS)
class TestEveryServer:
    """Probed, and stopped with patience."""

    def test_it_is_probed(self, overlay: str, name: str) -> None:
        """Three probes, each with a limit of time."""
        (container,) = pod(workloads(overlay)[name])["containers"]

        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            assert container[probe]["timeoutSeconds"] >= 3

    def test_liveness_looks_at_no_dependency(self, overlay: str, name: str) -> None:
        """A database that is away restarts nothing of ours."""
        (container,) = pod(workloads(overlay)[name])["containers"]
        if name in DEPLOYABLES:
            live = {"path": "/health/live", "port": "ops"}
            assert container["startupProbe"]["httpGet"] == live
            assert container["livenessProbe"]["httpGet"] == live
            assert container["readinessProbe"]["httpGet"]["path"] == "/health/ready"


@pytest.mark.parametrize("name", DEPLOYABLES)
class TestEveryDeployable:
    """How ours are rolled out."""

    def test_a_failing_image_never_takes_traffic(self, name: str) -> None:
        """Old pods stay until new ones are ready."""
        spec = of_kind("overlays/production", "Deployment")[name]["spec"]

        assert spec["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}
        assert spec["minReadySeconds"] >= 10
        assert spec["progressDeadlineSeconds"]

    def test_it_may_drain_before_it_is_killed(self, name: str) -> None:
        """The grace period covers the delay and the requests in flight."""
        spec = pod(of_kind("overlays/production", "Deployment")[name])
        (platform,) = (
            item["data"]
            for map_name, item in of_kind("overlays/production", "ConfigMap").items()
            if map_name.startswith("platform-")
        )
        drain = int(platform["DRAIN_DELAY_SECONDS"]) + int(platform["DRAIN_TIMEOUT_SECONDS"])

        assert spec["terminationGracePeriodSeconds"] >= drain + 10

    def test_production_runs_several_on_different_nodes(self, name: str) -> None:
        """By its own count or by its autoscaler's minimum; evictions take one at a time."""
        overlay = "overlays/production"
        deployment = of_kind(overlay, "Deployment")[name]
        scaler = of_kind(overlay, "HorizontalPodAutoscaler").get(name)
        count = scaler["spec"]["minReplicas"] if scaler else deployment["spec"]["replicas"]
        spread = pod(deployment)["topologySpreadConstraints"]

        assert count >= 2
        assert (scaler is None) == ("replicas" in deployment["spec"])
        assert {how["topologyKey"] for how in spread} == {
            "topology.kubernetes.io/zone",
            "kubernetes.io/hostname",
        }
        budget = of_kind(overlay, "PodDisruptionBudget")[name]["spec"]
        assert budget["maxUnavailable"] == 1
        assert budget["unhealthyPodEvictionPolicy"] == "AlwaysAllow"

    def test_production_runs_digests(self, name: str) -> None:
        """A tag can be moved; the Job of a release runs the same image as its servers."""
        overlay = "overlays/production"
        (container,) = pod(of_kind(overlay, "Deployment")[name])["containers"]
        jobs = [
            pod(job)["containers"][0]["image"]
            for job_name, job in of_kind(overlay, "Job").items()
            if job_name.startswith(f"migrate-{name}-")
        ]

        assert "@sha256:" in container["image"]
        assert jobs == ([container["image"]] if name in SERVICES else [])


class TestOverlays:
    """What each brings besides."""

    @pytest.mark.parametrize("overlay", OVERLAYS)
    def test_the_namespace_refuses_what_is_not_restricted(self, overlay: str) -> None:
        """The cluster checks it once more."""
        ((name, namespace),) = of_kind(overlay, "Namespace").items()
        labels = namespace["metadata"]["labels"]

        for mode in ("enforce", "audit", "warn"):
            assert labels[f"pod-security.kubernetes.io/{mode}"] == "restricted"
            assert labels[f"pod-security.kubernetes.io/{mode}-version"].startswith("v1.")
        inside = {item["metadata"].get("namespace") for item in rendered(overlay)} - {None}
        assert inside == {name}

    @pytest.mark.parametrize("overlay", OVERLAYS)
    def test_no_overlay_holds_a_secret(self, overlay: str) -> None:
        """They come from outside."""
        assert of_kind(overlay, "Secret") == {}

    def test_production_brings_no_state(self) -> None:
        """PostgreSQL, RabbitMQ and Redis are run by somebody who can."""
        assert of_kind("overlays/production", "StatefulSet") == {}
        assert of_kind("overlays/production", "Deployment").keys() == DEPLOYABLES.keys()

    def test_dev_finds_every_secret_that_it_mounts(self) -> None:
        """make_secrets.py --kubernetes makes them all, with the files that are named."""
        made = secrets_maker().render(str)
        for name, workload in workloads("overlays/dev").items():
            for secret in _mounted(workload):
                assert secret.removeprefix("gatehouse-") in made, name

    def test_every_migration_has_a_name_of_its_release(self) -> None:
        """A Job with another image needs another name."""
        names = of_kind("overlays/production", "Job").keys()

        assert len(names) == len(SERVICES)
        assert not names & {f"migrate-{service}" for service in SERVICES}

    @pytest.mark.parametrize("overlay", OVERLAYS)
    def test_the_readme_names_every_secret(self, overlay: str) -> None:
        """With all keys."""
        text = (ROOT / "deploy" / "k8s" / "README.md").read_text()
        made = secrets_maker().render(str)

        for workload in workloads(overlay).values():
            for secret in _mounted(workload):
                assert f"`{secret}`" in text
                if overlay == "overlays/production":
                    keys = made[secret.removeprefix("gatehouse-")]
                    assert not [key for key in keys if f"`{key}`" not in text]


class TestNetworkPolicies:
    """Who may talk to whom is the documented graph and nothing else."""

    def test_everything_is_denied_first(self) -> None:
        """Both ways, for every pod."""
        spec = of_kind("base", "NetworkPolicy")["default-deny"]["spec"]

        assert spec == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}

    def test_the_calls_are_the_documented_edges(self) -> None:
        """Both ends agree, each on the callee's own port."""
        ports = {8101: "identity", 8102: "token", 8103: "notify", 8104: "audit"}
        edges = set(secrets_maker().EDGES)

        assert {(one, ports[port]) for one, _, port in _reach("base", "egress")} == edges
        assert {(one, ports[port]) for one, _, port in _reach("base", "ingress")} == edges

    def test_the_bundled_parts_are_reached_by_their_users(self) -> None:
        """Databases by services and jobs, the broker by all, mail by notify."""
        users = {
            "postgres": {*SERVICES, "databases"},
            "rabbitmq": set(DEPLOYABLES),
            "redis": {"gateway", "token"},
            "mailpit": {"notify"},
        }
        documented = {(one, part) for part, ones in users.items() for one in ones}

        for direction in ("egress", "ingress"):
            found = {(one, other) for one, other, _ in _reach("bundled", direction)}
            assert found == documented, direction


def _mounted(workload: dict[str, Any]) -> Iterator[str]:
    for volume in pod(workload)["volumes"]:
        for source in volume.get("projected", {}).get("sources", []):
            yield source["secret"]["name"]


def _reach(folder: str, direction: str) -> set[tuple[str, str, int]]:
    """Return caller, callee and port of every rule of a direction that names both ends."""
    found = set()
    for policy in of_kind(folder, "NetworkPolicy").values():
        here = _names(policy["spec"]["podSelector"])
        for rule in policy["spec"].get(direction, []):
            for peer in rule.get("to" if direction == "egress" else "from", []):
                if "namespaceSelector" in peer:
                    continue
                there = _names(peer["podSelector"])
                for one, other in ((one, other) for one in here for other in there):
                    pair = (one, other) if direction == "egress" else (other, one)
                    found |= {(*pair, port["port"]) for port in rule["ports"]}
    return found


def _names(selector: dict[str, Any]) -> list[str]:
    key = "app.kubernetes.io/name"
    listed = [
        value
        for expression in selector.get("matchExpressions", [])
        if expression["key"] == key
        for value in expression["values"]
    ]
    return listed + [
        name for label, name in selector.get("matchLabels", {}).items() if label == key
    ]
