"""compose.yaml: ports that do not meet, containers that are shut in, and volumes that all have a name."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from typer.testing import CliRunner

from step_node.cli.main import app
from step_node.home.config import load_config
from step_node.home.paths import NodeHome

ROOT: Final = Path(__file__).parents[2]
SERVICES: Final[dict[str, dict[str, Any]]] = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
NODES: Final = {name: service for name, service in SERVICES.items() if re.fullmatch(r"node\d", name)}
DECLARED_BY_IMAGES: Final = {
    "mongo": {"/data/db", "/data/configdb"},
    "prometheus": {"/prometheus"},
    "alertmanager": {"/alertmanager"},
}
"""Where images of others declare volumes: what is given none there makes one without a name at each `up`."""


def test_a_nodes_listeners_have_ports_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script: str = SERVICES["homes"]["command"][0]
    (command,) = re.findall(r"step-node (testnet .*?);", script)
    words = shlex.split(command.replace("/tmp/chain", str(tmp_path / "chain")))
    made = CliRunner().invoke(app, words)
    assert made.exit_code == 0, made.output
    for name, node in NODES.items():
        with monkeypatch.context() as environment:
            for variable, value in node["environment"].items():
                environment.setenv(variable, value)
            config = load_config(NodeHome(tmp_path / "chain" / name).config)
        (listen,) = config.p2p.listen
        ports = [config.api.port, config.metrics.port, int(listen.split("/")[4])]
        assert len(set(ports)) == len(ports), f"{name}: {ports}"
        (published,) = node["ports"]
        assert published.endswith(f":{config.api.port}")


def test_the_nodes_are_shut_in_and_bounded() -> None:
    for node in NODES.values():
        assert node["read_only"] is True
        assert node["cap_drop"] == ["ALL"]
        assert node["security_opt"] == ["no-new-privileges:true"]
        assert {"cpus", "memory"} <= node["deploy"]["resources"]["limits"].keys()
        assert "user" not in node  # The image's own, which is not root.


def test_no_up_leaves_a_volume_without_a_name() -> None:
    assert not re.search(r"^VOLUME", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    for name, declared in DECLARED_BY_IMAGES.items():
        mounted = {volume.split(":")[1] for volume in SERVICES[name]["volumes"]}
        assert declared <= mounted | set(SERVICES[name].get("tmpfs", []))
