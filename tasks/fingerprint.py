"""The code that shapes an artifact, as one hash: a task's own, and all it reaches in this repository.

Prefect's `TASK_SOURCE` hashes a task's text alone and misses a changed helper. Here the names that a function uses lead
to the modules they come from, and those modules' imports to the rest. A string that is a module's whole name counts as
its import: so is a module named that another process runs.
"""

import ast
import hashlib
import importlib.util
import inspect
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import FunctionType
from typing import Any, cast

FIRST_PARTY = ("flows", "tasks", "models", "expectations", "evaluation", "storage")
# What places, names, reads back or moves bytes and numbers, but does not shape them.
INFRASTRUCTURE = frozenset(
    {
        "storage.artifacts.store", "storage.artifacts.exchange", "storage.files", "storage.errors", "storage.checkpoints",
        "storage.compiled", "storage.tensorboard", "storage.threads", "storage.dataset.chunks", "models.compiled",
        "models.errors", "models.encoders.errors", "tasks.caching", "tasks.fingerprint", "tasks.progress",
        "tasks.dask_cluster", "tasks.ingest", "tasks.sources",
    }
)  # fmt: skip


def code_fingerprint(function: Callable[..., Any]) -> str:
    """SHA-256 over the code of `function`, what it uses of its own file, and all modules it reaches; comments don't count."""
    digest = hashlib.sha256()
    for name in sorted(shaping_modules(function)):
        digest.update(module_fingerprint(name).encode())
    digest.update(function_code(function).encode())
    return digest.hexdigest()


def shaping_modules(function: Callable[..., Any]) -> set[str]:
    """The first-party modules whose code shapes what a task writes, by name."""
    own = cast(FunctionType, inspect.unwrap(function))
    imported = first_party_imports(ast.parse(Path(own.__code__.co_filename).read_text()))
    reached = reached_definitions(own).values()
    used = {name for node in reached for name in names_used(node)}
    waiting = {module for name, module in imported if name in used}
    waiting |= {name for node in reached for name in modules_named(node)}
    found: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name not in found | INFRASTRUCTURE:
            found.add(name)
            waiting |= imports_of(name)
    return found


@cache
def imports_of(name: str) -> frozenset[str]:
    """The first-party modules that a module imports, or names in a string, anywhere in its code."""
    tree = module_tree(name)
    return frozenset(module for _, module in first_party_imports(tree)) | modules_named(tree)


def first_party_imports(tree: ast.Module) -> set[tuple[str, str]]:
    """(name in the code, module it comes from) of all imports from this repository."""
    found: set[tuple[str, str]] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module is not None:
            inner = ((alias.asname or alias.name, f"{node.module}.{alias.name}") for alias in node.names)
            if node.module.split(".")[0] in FIRST_PARTY:
                found |= {(name, path if is_module(path) else node.module) for name, path in inner}
        elif isinstance(node, ast.Import):
            found |= {(alias.asname or alias.name.split(".")[0], alias.name) for alias in node.names}
    return {(name, module) for name, module in found if module.split(".")[0] in FIRST_PARTY}


def modules_named(tree: ast.AST) -> frozenset[str]:
    """The modules of this repository that a string names wholly, such as those that another process runs."""
    texts = (node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str))
    dotted = (text.split(".") for text in texts if "." in text)
    names = (".".join(parts) for parts in dotted if parts[0] in FIRST_PARTY and all(map(str.isidentifier, parts)))
    return frozenset(name for name in names if is_module(name))


def is_module(name: str) -> bool:
    """Whether a dotted name is a module of this repository rather than something in one."""
    return module_file(name) is not None


@cache
def module_file(name: str) -> Path | None:
    """The file of a module of this repository, if there is such a module; nothing is imported, which may take seconds."""
    package, *inner = name.split(".")
    spec = importlib.util.find_spec(package)
    places = [] if spec is None else spec.submodule_search_locations or []
    paths = [Path(place, *inner) for place in places]
    files = [file for path in paths for file in (path / "__init__.py", path.with_name(f"{path.name}.py"))]
    return next((file for file in files if file.is_file()), None)


def module_tree(name: str) -> ast.Module:
    """A module's code, parsed afresh.

    Raises:
        ModuleNotFoundError: there is no such module.
    """
    file = module_file(name)
    if file is None:
        raise ModuleNotFoundError(f"{name}: expected a module to fingerprint; found none.", name=name)
    return ast.parse(file.read_text())


@cache
def module_fingerprint(name: str) -> str:
    """SHA-256 of a module's code, without comments, docstrings and layout."""
    tree = module_tree(name)
    digest = hashlib.sha256(normalised(tree).encode())
    package = Path(importlib.import_module(name.split(".", maxsplit=1)[0]).__path__[0])
    for helper in compiled_helpers(tree):
        digest.update((package / f"{helper}.c").read_bytes())
    return digest.hexdigest()


def compiled_helpers(tree: ast.Module) -> list[str]:
    """The C helpers, by name, that a module asks for and writes with; `_gather` only reads."""
    calls = (node for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name))
    named = (node.args[0] for node in calls if node.func.id == "helper" and node.args)  # type: ignore[attr-defined]
    names = (str(name.value) for name in named if isinstance(name, ast.Constant))
    return sorted(name for name in names if name != "_gather")


def function_code(function: Callable[..., Any]) -> str:
    """The normalised code of a function and of all top-level names of its file that it reaches."""
    reached = reached_definitions(function)
    return "\n".join(normalised(reached[name]) for name in sorted(reached))


def reached_definitions(function: Callable[..., Any]) -> dict[str, ast.stmt]:
    """The function and, by name, all top-level definitions of its file that it reaches, without their decorators."""
    own = cast(FunctionType, inspect.unwrap(function))
    definitions: dict[str, ast.stmt] = {}
    for node in ast.parse(Path(own.__code__.co_filename).read_text()).body:
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
            node.decorator_list = []  # how a task is cached does not shape what it writes
    return reached


def names_used(node: ast.stmt) -> list[str]:
    """The names a definition uses; of a function those in its body, since the types it takes do not shape what it writes."""
    parts = node.body if isinstance(node, ast.FunctionDef) else [node]
    return [child.id for part in parts for child in ast.walk(part) if isinstance(child, ast.Name)]


def normalised(tree: ast.AST) -> str:
    """The tree as text, without docstrings."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            body = node.body
            if body and isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant):
                del body[0]
    return ast.dump(tree)
