"""What the documentation tells a reader to type exists: commands, options, parameters, imports and files."""

import ast
import importlib
import re
import shlex
from pathlib import Path

import pytest
import yaml
from pydantic import BaseModel
from typer.main import get_command

from flows.cli import app
from flows.cli.running import resolved_profile
from flows.parameters import Profile

ROOT = Path(__file__).parents[3]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
ROOMS = (
    "flows",
    "tasks",
    "models",
    "expectations",
    "evaluation",
    "storage",
    "serving",
    "docs",
    "tests",
    "examples",
    "benchmarks",
)
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def blocks(language: str) -> list[tuple[str, str]]:
    return [(page.name, text) for page in PAGES for found, text in BLOCK.findall(page.read_text()) if found == language]


def marquee_commands() -> list[tuple[str, list[str]]]:
    """(page, words) of every `marquee …` line in a shell block, without variables before it and comments behind it."""
    found = []
    for page, text in blocks("sh"):
        for line in text.replace("\\\n", " ").splitlines():
            if "marquee " in line and not line.lstrip().startswith("#"):
                words = shlex.split(line, comments=True)
                places = [place for place, word in enumerate(words) if word.split("/")[-1] == "marquee"]
                places = [place for place in places if not (place and words[place - 1].startswith("--"))]
                found += [(page, words[place + 1 :]) for place in places[:1]]
    return found


@pytest.mark.parametrize(("page", "words"), marquee_commands(), ids=lambda value: str(value)[:60])
def test_a_command_has_the_options_and_parameters_that_the_docs_give_it(page: str, words: list[str]) -> None:
    command = get_command(app).commands[words[0]]  # type: ignore[attr-defined]
    options = {name for one in command.params for name in one.opts}
    assert {word for word in words if word.startswith("--")} <= options, page
    changes = [words[place + 1] for place, word in enumerate(words) if word == "--set"]
    resolved_profile("sample", changes=[change for change in changes if "$" not in change])


def test_some_commands_are_found() -> None:
    assert len(marquee_commands()) > 20


@pytest.mark.parametrize(("page", "code"), blocks("python"), ids=lambda value: value[:40])
def test_what_python_examples_import_exists(page: str, code: str) -> None:
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.ImportFrom):
            module = importlib.import_module(str(node.module))
            assert not [one.name for one in node.names if not hasattr(module, one.name)], page


@pytest.mark.parametrize(("page", "text"), blocks("yaml"), ids=lambda value: value[:40])
def test_yaml_examples_are_profiles(page: str, text: str) -> None:
    assert Profile.model_validate(yaml.safe_load(text)).description, page


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_named_in_the_docs_exist(page: Path) -> None:
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    named = {name for name in re.findall(r"`([\w.-]+(?:/[\w.-]+)+/?)`", text) if name.split("/")[0] in ROOMS}
    assert not [name for name in sorted(named) if not (ROOT / name).exists()]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_parameters_named_in_the_docs_exist(page: Path) -> None:
    named = set(re.findall(r"`((?:source|features|export|train|evaluate|publish|cluster)\.[\w.]+)", page.read_text()))
    assert not [
        name
        for name in sorted(named)
        if not name.endswith((".json", ".html", ".safetensors")) and not is_parameter(name)
    ]


def is_parameter(name: str) -> bool:
    """Whether a dotted name leads through parameter models; what lies below anything but a model is not looked at."""
    model: type[BaseModel] = Profile
    for part in name.rstrip(".").split("."):
        if part not in model.model_fields:
            return False
        inner = models_in(model.model_fields[part].annotation)
        if not inner:
            return True
        model = inner[0]
    return True


def models_in(annotation: object) -> list[type[BaseModel]]:
    """The parameter models among a field's type and its alternatives."""
    options = (annotation, *getattr(annotation, "__args__", ()))
    return [one for one in options if isinstance(one, type) and issubclass(one, BaseModel)]
