"""Hash all code that shapes an artifact: of a task, and of every module of this repository that it reaches by imports.

The hash is part of an artifact's digest, so that a changed helper never gives a stale cache hit; a version number per stage,
raised by hand, would be forgotten just then, and Prefect's `TASK_SOURCE` hashes the text of the task alone.
"""

import ast
import hashlib
import importlib.util
import inspect
from collections.abc import Callable
from functools import cache
from pathlib import Path
from threading import Lock
from types import FunctionType
from typing import Any, cast

FIRST_PARTY = ("flows", "tasks", "serving", "models", "expectations", "evaluation", "storage")
# Modules whose code does not count, because no byte of an artifact depends on it.
INFRASTRUCTURE = {
    "models.errors": "errors",
    "storage.artifacts.exchange": "passes files between processes",
    "storage.artifacts.foreign": "keeps artifacts of others apart",
    "storage.artifacts.manifest": "describes artifacts",
    "storage.artifacts.store": "keeps artifacts",
    "storage.checkpoints": "keeps and reads checkpoints",
    "storage.drafts": "keeps unfinished files apart",
    "storage.errors": "errors",
    "storage.files": "writes files safely",
    "storage.home": "names the work directory",
    "storage.lifeline": "ends processes",
    "storage.machine": "describes this machine",
    "storage.tensorboard": "writes logs beside the artifact",
    "storage.threads": "runs work in threads",
    "tasks.caching": "looks artifacts up",
    "tasks.dask_cluster": "runs work on a cluster",
    "tasks.fingerprint": "this module",
    "tasks.ingest": "other tasks import its functions that read tables back; its own tasks count as the task's own file",
    "tasks.progress": "shows progress",
    "tasks.steps": "records what a run did",
    "tasks.story": "shows what a run did",
    "tasks.terminal": "shows progress",
    "tasks.ranks": "runs work in processes",
    "tasks.work_process": "runs work in processes",
    "tasks.sources": "other tasks import its parameters, which are in the digest; its own tasks count as the task's own file",
}

PARSING = Lock()


def code_fingerprint(function: Callable[..., Any]) -> str:
    """SHA-256 of all code that shapes what a task writes; comments, docstrings and layout do not count.

    Args:
        function: the task's function. Of its own file only the definitions that it uses count.
    """
    digest = hashlib.sha256()
    for name in sorted(shaping_modules(function)):
        digest.update(module_fingerprint(name).encode())
    digest.update(function_code(function).encode())
    return digest.hexdigest()


def shaping_modules(function: Callable[..., Any]) -> set[str]:
    """The names of this repository's modules whose code shapes what a task writes."""
    own = cast(FunctionType, inspect.unwrap(function))
    imported = first_party_imports(parsed(Path(own.__code__.co_filename)))
    used = {name for node in reached_definitions(own).values() for name in names_used(node)}
    waiting = {module for name, module in imported if name in used}
    found: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name not in found and name not in INFRASTRUCTURE:
            found.add(name)
            waiting |= imports_of(name)
    return found


def parsed(file: Path) -> ast.Module:
    """The parsed code of a file.

    One thread parses at a time: tasks run in threads, and Python counts the depth of all trees that are being made together, so
    that it sometimes raises SystemError (github.com/python/cpython/issues/106905).
    """
    with PARSING:
        return ast.parse(file.read_text())


@cache
def imports_of(name: str) -> frozenset[str]:
    """The modules of this repository that a module imports, anywhere in its code."""
    return frozenset(module for _, module in first_party_imports(module_tree(name)))


def first_party_imports(tree: ast.Module) -> set[tuple[str, str]]:
    """All imports from this repository, as pairs of a name in the code and the module that it comes from."""
    found: set[tuple[str, str]] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module is not None:
            inner = ((alias.asname or alias.name, f"{node.module}.{alias.name}") for alias in node.names)
            if node.module.split(".")[0] in FIRST_PARTY:
                found |= {(name, path if module_file(path) else node.module) for name, path in inner}
        elif isinstance(node, ast.Import):
            found |= {(alias.asname or alias.name.split(".")[0], alias.name) for alias in node.names}
    return {(name, module) for name, module in found if module.split(".")[0] in FIRST_PARTY}


@cache
def module_file(name: str) -> Path | None:
    """The file of a module of this repository, if there is such a module; the module is not imported."""
    package, *inner = name.split(".")
    spec = importlib.util.find_spec(package)
    places = [] if spec is None else spec.submodule_search_locations or []
    paths = [Path(place, *inner) for place in places]
    files = [file for path in paths for file in (path / "__init__.py", path.with_name(f"{path.name}.py"))]
    return next((file for file in files if file.is_file()), None)


def module_tree(name: str) -> ast.Module:
    """The parsed code of a module.

    Raises:
        ModuleNotFoundError: there is no such module.
    """
    file = module_file(name)
    if file is None:
        raise ModuleNotFoundError(f"{name}: expected a module to hash; found none.", name=name)
    return parsed(file)


@cache
def module_fingerprint(name: str) -> str:
    """SHA-256 of the normalised code of a module."""
    return hashlib.sha256(normalised(module_tree(name)).encode()).hexdigest()


def function_code(function: Callable[..., Any]) -> str:
    """The normalised code of a function and of the definitions of its file that it reaches."""
    reached = reached_definitions(function)
    return "\n".join(normalised(reached[name]) for name in sorted(reached))


def reached_definitions(function: Callable[..., Any]) -> dict[str, ast.stmt]:
    """The function and the top-level definitions of its file that it reaches, by name and without decorators."""
    own = cast(FunctionType, inspect.unwrap(function))
    definitions: dict[str, ast.stmt] = {}
    for node in parsed(Path(own.__code__.co_filename)).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            definitions[node.name] = node
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            definitions.update({target.id: node for target in targets if isinstance(target, ast.Name)})
    reached: dict[str, ast.stmt] = {}
    waiting = [own.__name__]
    while waiting:
        name = waiting.pop()
        if name in reached or name not in definitions:
            continue
        node = reached[name] = definitions[name]
        waiting += names_used(node)
        if isinstance(node, ast.FunctionDef):
            node.decorator_list = []  # how a task is cached does not change what it writes
    return reached


def names_used(node: ast.stmt) -> list[str]:
    """The names that a definition uses; of a function those in its body, as annotations do not change what it writes."""
    parts = node.body if isinstance(node, ast.FunctionDef) else [node]
    return [child.id for part in parts for child in ast.walk(part) if isinstance(child, ast.Name)]


def normalised(tree: ast.AST) -> str:
    """Code as text, without comments, docstrings and layout."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            body = node.body
            if body and isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant):
                del body[0]
    return ast.dump(tree)
