"""Reading the deployment files: Compose as it resolves, overlays as they render, secrets."""

import importlib.util
import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import yaml

from chassis.settings import ProcessSettings
from gateway.settings import GatewaySettings
from services.audit.settings import AuditSettings
from services.identity.settings import IdentitySettings
from services.notify.settings import NotifySettings
from services.token.settings import TokenSettings

ROOT = Path(__file__).parent.parent.parent
MOUNT = "/run/secrets/gatehouse"
DEPLOYABLES: dict[str, type[ProcessSettings]] = {
    "gateway": GatewaySettings,
    "identity": IdentitySettings,
    "token": TokenSettings,
    "notify": NotifySettings,
    "audit": AuditSettings,
}
SERVICES = ("identity", "token", "notify", "audit")

_VARIABLE = re.compile(r"\$\{([A-Z_]+):-([^}]*)\}")


def interpolated_compose() -> str:
    """Return docker-compose.yml as Compose reads it when no variable is set."""
    text = (ROOT / "docker-compose.yml").read_text()
    resolved = _VARIABLE.sub(lambda match: match[2], text)
    assert "$" not in resolved, "a variable without a default"
    return resolved


@cache
def compose() -> dict[str, Any]:
    """Return docker-compose.yml with variables and anchors resolved."""
    document: dict[str, Any] = yaml.safe_load(interpolated_compose())
    return document


@cache
def rendered(folder: str) -> list[dict[str, Any]]:
    """Return what `kubectl kustomize` makes of a folder below deploy/k8s."""
    kubectl = Path(sys.executable).with_name("kubectl")  # the dev group's, not the machine's
    result = subprocess.run(  # noqa: S603 - fixed words
        [str(kubectl), "kustomize", str(ROOT / "deploy" / "k8s" / folder)],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert result.returncode == 0, result.stderr
    return [document for document in yaml.safe_load_all(result.stdout) if document]


def of_kind(folder: str, *kinds: str) -> dict[str, dict[str, Any]]:
    """Return the rendered objects of some kinds by name."""
    return {
        document["metadata"]["name"]: document
        for document in rendered(folder)
        if document["kind"] in kinds
    }


def workloads(folder: str) -> dict[str, dict[str, Any]]:
    """Return everything that makes pods, by name."""
    return of_kind(folder, "Deployment", "StatefulSet", "Job")


def pod(workload: dict[str, Any]) -> dict[str, Any]:
    """Return the pod's spec of a workload."""
    spec: dict[str, Any] = workload["spec"]["template"]["spec"]
    return spec


def environment(folder: str, name: str) -> dict[str, str]:
    """Return what a Deployment's container finds in its environment."""
    (container,) = pod(of_kind(folder, "Deployment")[name])["containers"]
    maps = of_kind(folder, "ConfigMap")
    found: dict[str, str] = {}
    for source in container.get("envFrom", []):
        found |= maps[source["configMapRef"]["name"]]["data"]
    return found | {item["name"]: item["value"] for item in container.get("env", [])}


@cache
def secrets_maker() -> ModuleType:
    """Return deploy/bundled/make_secrets.py as a module."""
    path = ROOT / "deploy" / "bundled" / "make_secrets.py"
    spec = importlib.util.spec_from_file_location("make_secrets", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
