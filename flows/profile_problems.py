"""What is wrong with a profile: where, and which known name is nearest to an unknown one."""

import difflib
from collections.abc import Iterable
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError

Place = tuple[int | str, ...]  # of a parameter: names, and positions in lists


def problems_by_place(error: ValidationError, model: type[BaseModel]) -> list[tuple[Place, str]]:
    """Where each wrong parameter is, and what is wrong with it, without values, which may be secrets.

    Args:
        error: of validating the model.
        model: the parameters; an unknown name comes with the nearest name that the model has there.
    """
    found = []
    for one in error.errors(include_input=False, include_url=False):
        place, message = one["loc"], one["msg"]
        if one["type"] == "extra_forbidden":
            message = "unknown parameter" + suggestion(str(place[-1]), names_at(model, place[:-1]))
        found.append((place, f"{'.'.join(map(str, place))}: {message}"))
    return found


def suggestion(name: str, known: Iterable[str]) -> str:
    """The end of a message about an unknown name: the nearest known one, or all of them."""
    names = list(known)
    nearest = difflib.get_close_matches(name, names, 1)
    if nearest:
        return f"; did you mean {nearest[0]}?"
    return f"; there are {', '.join(names)}" if names else ""


def names_at(model: type[BaseModel], place: Place) -> list[str]:
    """The names of the parameters at a place below a parameter model; [] if there is no model."""
    for part in place:
        if isinstance(part, int) or part not in model.model_fields:
            continue  # a place in a list, or the kind of an alternative
        inner = models_in(model.model_fields[part].annotation)
        if not inner:
            return []
        model = inner[0]
    return list(model.model_fields)


def models_in(annotation: Any) -> list[type[BaseModel]]:
    """The parameter models in a field's type."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in models_in(part)]


def line_of(tree: yaml.Node | None, place: Place) -> int:
    """The line of a parameter in a YAML file, or of the part that should have it; the first line is 1."""
    line = 1
    for part in place:
        if isinstance(tree, yaml.MappingNode):
            found = [pair for pair in tree.value if pair[0].value == str(part)]
        elif isinstance(tree, yaml.SequenceNode) and isinstance(part, int) and part < len(tree.value):
            found = [(tree.value[part], tree.value[part])]
        else:
            break
        if not found:
            continue  # the kind of an alternative is a part of the place, but not of the file
        key, tree = found[0]
        line = key.start_mark.line + 1
    return line


def repeated_key(tree: yaml.Node) -> yaml.Node | None:
    """The first name that a mapping has twice, of which YAML would keep the second value without a word."""
    if isinstance(tree, yaml.SequenceNode):
        return next((found for part in tree.value if (found := repeated_key(part))), None)
    if not isinstance(tree, yaml.MappingNode):
        return None
    seen: set[str] = set()
    for key, value in tree.value:
        if key.value in seen:
            repeated: yaml.Node = key
            return repeated
        seen.add(key.value)
        if (found := repeated_key(value)) is not None:
            return found
    return None
