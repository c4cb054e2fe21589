"""The manifests in deploy/kubernetes: valid, shut in, and fit for a key that must never be in two places.

No cluster is here. What a pod's first container does is tried, since it is a script: it makes homes that nodes open.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import kubernetes_validate
import pytest
import yaml

from step_node.home.config import load_config
from step_node.home.histories import keys_with_history
from step_node.home.paths import NodeHome
from tests.snapshot.test_initial_state import with_state

ROOT: Final = Path(__file__).parents[2]
KUBERNETES: Final = ROOT / "deploy" / "kubernetes"
PAGE: Final = ROOT / "docs" / "kubernetes.md"
PARTS: Final = ("kustomization.yaml", "keystore.yaml")
"""What kustomize reads, and makes manifests of."""
MANIFESTS: Final = sorted(path for path in KUBERNETES.rglob("*.yaml") if path.name not in PARTS)
VERSIONS: Final = ("1.27", "1.37")
"""The oldest whose StatefulSets keep their volumes by a rule of their own, and the newest that is known here."""
PASSWORD: Final = "correct horse battery staple"


def _documents(text: str) -> list[dict[str, Any]]:
    return [document for document in yaml.safe_load_all(text) if document]


def _read(path: Path) -> list[dict[str, Any]]:
    return _documents(path.read_text(encoding="utf-8"))


(STATEFUL_SET,) = _read(KUBERNETES / "base" / "statefulset.yaml")
POD: Final = STATEFUL_SET["spec"]["template"]["spec"]
CONTAINERS: Final = (*POD["initContainers"], *POD["containers"])
(NODE,) = POD["containers"]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_a_manifest_has_what_kubernetes_knows_and_nothing_else(path: Path, version: str) -> None:
    for document in _read(path):
        kubernetes_validate.validate(document, version, strict=True)


def test_the_checker_refuses_what_kubernetes_does_not_know() -> None:
    (wrong,) = _read(KUBERNETES / "base" / "statefulset.yaml")
    wrong["spec"]["template"]["spec"]["containers"][0]["livenessProb"] = {}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, VERSIONS[0], strict=True)


@pytest.mark.parametrize("of_a_large_state", [False, True])
@pytest.mark.parametrize("overlay", ["validator", "observers"])
def test_kustomize_makes_a_whole_of_an_overlay(overlay: str, of_a_large_state: bool, tmp_path: Path) -> None:
    kustomize = _kustomize()
    shutil.copytree(KUBERNETES, tmp_path, dirs_exist_ok=True)
    shutil.copy(ROOT / "configs" / "genesis.json", tmp_path / overlay)
    if of_a_large_state:
        (patch,) = re.findall(r"^```yaml\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
        kustomization = tmp_path / overlay / "kustomization.yaml"
        text = kustomization.read_text(encoding="utf-8")
        begun = text if "\npatches:\n" in text else f"{text}patches:\n"
        kustomization.write_text(begun + patch, encoding="utf-8")
    made = subprocess.run([*kustomize, str(tmp_path / overlay)], capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr
    documents = _documents(made.stdout)
    for document in documents:
        kubernetes_validate.validate(document, VERSIONS[-1], strict=True)
        assert document["metadata"]["namespace"] == f"step-{overlay}"
    (stateful_set,) = (document for document in documents if document["kind"] == "StatefulSet")
    assert stateful_set["spec"]["replicas"] == (1 if overlay == "validator" else 3)
    pod = stateful_set["spec"]["template"]["spec"]
    volumes = {volume["name"] for volume in pod["volumes"]} | {"home"}
    (state,) = (volume for volume in pod["volumes"] if volume["name"] == "initial-state")
    assert state == {
        "name": "initial-state",
        **(
            {"persistentVolumeClaim": {"claimName": "step-initial-state", "readOnly": True}}
            if of_a_large_state
            else {"configMap": {"name": "step-initial-state", "optional": True}}
        ),
    }
    for container in (*pod["initContainers"], *pod["containers"]):
        mounted = {mount["name"] for mount in container["volumeMounts"]}
        assert mounted <= volumes
        assert ("keystore" in mounted) == (overlay == "validator")
        assert container["image"] == "registry.example/step-node:0.1.0"


def _kustomize() -> list[str]:
    if (program := shutil.which("kustomize")) is not None:
        return [program, "build"]
    if (program := shutil.which("kubectl")) is not None:
        return [program, "kustomize"]
    pytest.skip("neither kustomize nor kubectl is installed")


# What must be so of the pod.


def test_nothing_in_the_pod_is_root_or_can_become_it() -> None:
    context = POD["securityContext"]
    assert context["runAsNonRoot"] is True
    assert context["runAsUser"] == context["runAsGroup"] == context["fsGroup"] == 10_001
    assert "useradd --create-home --uid 10001 step" in (ROOT / "Dockerfile").read_text(encoding="utf-8")
    assert context["seccompProfile"] == {"type": "RuntimeDefault"}
    assert POD["automountServiceAccountToken"] is False
    for container in CONTAINERS:
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }


def test_all_that_is_used_has_a_bound() -> None:
    for container in CONTAINERS:
        assert {"cpu", "memory"} <= container["resources"]["requests"].keys()
        assert "memory" in container["resources"]["limits"]
    assert all("sizeLimit" in volume["emptyDir"] for volume in POD["volumes"] if "emptyDir" in volume)


def test_each_node_has_a_volume_that_outlives_it() -> None:
    (claim,) = STATEFUL_SET["spec"]["volumeClaimTemplates"]
    (place,) = (mount["mountPath"] for mount in NODE["volumeMounts"] if mount["name"] == claim["metadata"]["name"])
    assert NODE["args"][-1].startswith(f"{place}/")
    kept = STATEFUL_SET["spec"]["persistentVolumeClaimRetentionPolicy"]
    assert kept == {"whenDeleted": "Retain", "whenScaled": "Retain"}


def test_one_pod_has_the_key() -> None:
    assert STATEFUL_SET["kind"] == "StatefulSet"
    assert STATEFUL_SET["spec"]["replicas"] == 1
    (overlay,) = _read(KUBERNETES / "validator" / "kustomization.yaml")
    assert "replicas" not in overlay


def test_the_probes_ask_what_restarts_and_traffic_depend_on() -> None:
    paths = {kind: NODE[f"{kind}Probe"]["httpGet"]["path"] for kind in ("startup", "liveness", "readiness")}
    assert paths == {"startup": "/health/live", "liveness": "/health/live", "readiness": "/health/ready"}
    assert POD["terminationGracePeriodSeconds"] >= 60


def test_services_and_the_budget_are_of_the_pods_and_ports_that_there_are() -> None:
    labels = STATEFUL_SET["spec"]["template"]["metadata"]["labels"]
    ports = {port["name"] for port in NODE["ports"]}
    services = _read(KUBERNETES / "base" / "services.yaml") + _read(KUBERNETES / "validator" / "p2p-service.yaml")
    for service in services:
        assert service["spec"]["selector"] == labels
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= ports
    (headless,) = (one for one in services if one["metadata"]["name"] == STATEFUL_SET["spec"]["serviceName"])
    assert headless["spec"]["clusterIP"] == "None"
    assert headless["spec"]["publishNotReadyAddresses"] is True  # Nobody is ready without peers.
    (budget,) = _read(KUBERNETES / "base" / "disruption-budget.yaml")
    assert budget["spec"]["selector"]["matchLabels"] == labels


@pytest.mark.parametrize("overlay", ["validator", "observers"])
def test_the_settings_are_the_nodes(overlay: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = {one["name"]: one["value"] for one in NODE["env"]}
    lines = (KUBERNETES / overlay / "settings.env").read_text(encoding="utf-8").splitlines()
    told |= dict(line.split("=", 1) for line in lines if not line.startswith("#"))
    if overlay == "validator":
        (patch,) = _read(KUBERNETES / "validator" / "keystore.yaml")
        (container,) = patch["spec"]["template"]["spec"]["containers"]
        told |= {one["name"]: one["value"] for one in container["env"]}
        (tmp_path / "password").write_text(PASSWORD)
        told["STEP_KEYSTORE__PASSWORD_COMMAND"] = told["STEP_KEYSTORE__PASSWORD_COMMAND"].replace(
            "/etc/step/keystore", str(tmp_path)
        )
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "config.toml").touch(mode=0o600)
    config = load_config(tmp_path / "config.toml")
    assert config.metrics.port in {port["containerPort"] for port in NODE["ports"]}
    assert config.p2p.bootstrap
    assert config.keystore.password == (PASSWORD if overlay == "validator" else None)
    assert bool(config.p2p.external_address) == (overlay == "validator")


# What the pod's first container does.


GENESIS: Final = ROOT / "configs" / "genesis.json"


def _prepare(
    volume: Path, keystore: Path | None = None, *, genesis: Path = GENESIS, initial_state: Path | None = None
) -> NodeHome:
    done = _run_script(volume, keystore, genesis, initial_state)
    assert done.returncode == 0, done.stderr
    return NodeHome(volume / "node")


def _run_script(
    volume: Path, keystore: Path | None, genesis: Path, initial_state: Path | None
) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "NODE_HOME": str(volume / "node"),
        "NODE_GENESIS": str(genesis),
        "NODE_KEYSTORE": str(keystore or volume / "there is none"),
        "NODE_INITIAL_STATE": str(initial_state or volume / "there is none"),
    }
    script = KUBERNETES / "base" / "prepare-home"
    return subprocess.run(["/bin/sh", str(script)], env=environment, capture_output=True, text=True, check=False)


def _secret(folder: Path, **content: bytes) -> Path:
    """As Kubernetes mounts one: links to files that the group may read."""
    kept = folder / "..data"
    kept.mkdir(parents=True)
    for name, value in content.items():
        path = kept / name.replace("_", ".")
        path.write_bytes(value)
        path.chmod(0o440)
        (folder / path.name).symlink_to(path)
    return folder


def _all_files(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.long
def test_an_observers_home_is_made_once(tmp_path: Path) -> None:
    (tmp_path / "node.unfinished").mkdir()
    (tmp_path / "node.unfinished" / "half").touch()  # Of a pod that was ended meanwhile.
    home = _prepare(tmp_path)
    assert load_config(home.config)
    assert not home.validator_keystore.exists()
    assert [path.name for path in tmp_path.iterdir()] == ["node"]
    made = _all_files(tmp_path)
    _prepare(tmp_path)
    assert _all_files(tmp_path) == made


@pytest.mark.long
def test_a_validators_key_is_made_on_its_volume_with_its_history(tmp_path: Path) -> None:
    secret = _secret(tmp_path / "secret", password=PASSWORD.encode())
    (tmp_path / "volume").mkdir()
    home = _prepare(tmp_path / "volume", secret)
    assert home.validator_keystore.exists()
    assert len(keys_with_history(home)) == 1
    assert PASSWORD.encode() not in b"".join(_all_files(tmp_path / "volume").values())
    # As a volume that gives all its files to the group at every mount.
    for path in home.root.rglob("*"):
        path.chmod(0o770)
    _prepare(tmp_path / "volume", secret)
    assert not [path for path in home.root.rglob("*") if stat.S_IMODE(path.stat().st_mode) & 0o077]


@pytest.mark.long
def test_keys_made_elsewhere_come_without_a_history(tmp_path: Path) -> None:
    for folder in ("elsewhere", "volume"):
        (tmp_path / folder).mkdir()
    elsewhere = _prepare(tmp_path / "elsewhere", _secret(tmp_path / "first", password=PASSWORD.encode()))
    keystore, p2p_key = elsewhere.validator_keystore.read_bytes(), elsewhere.p2p_key.read_bytes()
    secret = _secret(tmp_path / "second", password=PASSWORD.encode(), validator_json=keystore, p2p_key=p2p_key)
    home = _prepare(tmp_path / "volume", secret)
    assert home.validator_keystore.read_bytes() == keystore
    assert home.p2p_key.read_bytes() == p2p_key
    # So the node does not sign with it before it has been told what is so.
    assert not keys_with_history(home)


def test_the_initial_state_is_where_the_script_looks_for_it() -> None:
    script = (KUBERNETES / "base" / "prepare-home").read_text(encoding="utf-8")
    (place,) = re.findall(r"\$\{NODE_INITIAL_STATE:-(.*)\}", script)
    (mounted,) = (mount["mountPath"] for mount in NODE["volumeMounts"] if mount["name"] == "initial-state")
    (file,) = re.findall(r"configmap step-initial-state --from-file=(\S+)", PAGE.read_text(encoding="utf-8"))
    assert place == f"{mounted}/{file}"


@pytest.mark.long
def test_each_home_of_a_chain_with_an_initial_state_has_a_copy_of_it(tmp_path: Path) -> None:
    state, genesis = tmp_path / "state", tmp_path / "genesis.json"
    genesis.write_text(with_state(state).model_dump_json(exclude_none=True))
    secret = _secret(tmp_path / "secret", password=PASSWORD.encode())
    for name, keystore in (("observer", None), ("validator", secret)):
        (tmp_path / name).mkdir()
        home = _prepare(tmp_path / name, keystore, genesis=genesis, initial_state=state)
        assert home.initial_state.read_bytes() == state.read_bytes()
        assert home.validator_keystore.exists() == (keystore is not None)
    # Without the file nothing is made that would look complete.
    (tmp_path / "without").mkdir()
    refused = _run_script(tmp_path / "without", None, genesis, None)
    assert refused.returncode != 0
    assert "--initial-state: is needed" in refused.stderr.replace("\n", " ")
    assert not (tmp_path / "without" / "node").exists()
