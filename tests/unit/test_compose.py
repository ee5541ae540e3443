"""compose.yaml, which is not run here: what it names exists, and it holds no secret."""

import importlib
import re
import shlex
from pathlib import Path
from typing import Any

import click
import prefect.settings
import pytest
import yaml
from cyclopts import App

ROOT = Path(__file__).parents[2]
COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if service.get("image") == "marquee"}
ENVIRONMENT = {
    (service, name): str(value)
    for service, made in SERVICES.items()
    for name, value in made.get("environment", {}).items()
}


def commands() -> list[str]:
    """Every command line that runs in our image."""
    found = []
    for service in OURS.values():
        command = service["command"]
        found += command[-1].splitlines() if isinstance(command, list) else [command]
    return [line for line in found if line.strip()]


@pytest.mark.parametrize("line", commands())
def test_commands_and_their_options_exist(line: str) -> None:
    program, *words = shlex.split(line)
    if program == "prefect":
        app: App = importlib.import_module("prefect.cli._app")._app
        command, *_ = app.parse_args(
            [word for word in words if word != "--no-prompt"], exit_on_error=False, print_error=False
        )
        assert callable(command)
    elif program == "dask":
        name, *rest = words
        main: click.Command = importlib.import_module(f"distributed.cli.dask_{name}").main
        main.make_context(name, rest)
    else:
        assert program == "python"
        assert words[0] in ("-m", "-c")


@pytest.mark.parametrize(("service", "name"), ENVIRONMENT)
def test_environment_variables_exist(service: str, name: str) -> None:
    if name.startswith("PREFECT_"):
        assert hasattr(prefect.settings, name)
    elif name.startswith("AWS_"):
        code = "".join(
            path.read_text() for path in Path(str(importlib.import_module("botocore").__file__)).parent.glob("*.py")
        )
        assert name in code or name == "AWS_ENDPOINT_URL"  # botocore builds this name
    elif service in OURS and name != "DO_NOT_TRACK":
        files = [path for room in ("storage", "tasks") for path in (ROOT / room).rglob("*.py")]
        assert any(re.search(rf'"{name}"', path.read_text()) for path in files), name


def test_secrets_come_from_outside_and_have_no_default() -> None:
    secret = [
        (place, value)
        for place, value in ENVIRONMENT.items()
        if re.search("PASSWORD|SECRET|KEY|AUTH|TOKEN|CONNECTION", place[1])
    ]
    assert len(secret) >= 9
    for place, value in secret:
        assert re.search(r"\$\{\w+(:\?[^}]+|:-)\}", value), place
    assert not (ROOT / ".env").exists() or ".env" in (ROOT / ".gitignore").read_text().split()


def test_ports_are_open_on_this_machine_only() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)
    for name in ("postgres", "dask-scheduler", "dask-worker", "s3"):
        assert SERVICES[name]["networks"] == ["inside"]
    assert COMPOSE["networks"]["inside"]["internal"] is True


def test_services_depend_on_services_and_images_have_a_version() -> None:
    for service in SERVICES.values():
        assert set(service.get("depends_on", {})) <= SERVICES.keys()
        assert service["image"] == "marquee" or re.search(r":\d", service["image"])
    for volume in re.findall(r"(?:volumes: \[|, )(\w+):/", (ROOT / "compose.yaml").read_text()):
        assert volume in COMPOSE["volumes"]


def test_the_image_has_every_package() -> None:
    """Every package that is installed is copied into the image, and nothing else that a build would need is left out."""
    copied = re.findall(r"^COPY (?:.* )?(\w+)/?$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py") if path.parent.name != "tests"}
    assert packages <= set(copied)
    kept = set(re.findall(r"^!(\S+)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE))
    assert packages <= kept
    for name in re.findall(r"^COPY ((?:[\w.]+ )+)\./$", (ROOT / "Dockerfile").read_text(), re.MULTILINE):
        assert set(name.split()) <= kept
        assert all((ROOT / one).exists() for one in name.split())
