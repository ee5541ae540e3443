"""Lists of flat objects written as Python literals, as pandas writes them into CSV files.

They are matched by a grammar and never evaluated, so a cell can neither run code nor nest deeply.
"""

import ast
import re
from functools import lru_cache
from typing import Any

from storage.sources.metadata.fields import text

STRING = r"(?:'[^'\\]*+(?:\\.[^'\\]*+)*+'|\"[^\"\\]*+(?:\\.[^\"\\]*+)*+\")"
PAIR = rf"({STRING})\s*+:\s*+({STRING}|-?\d++(?:\.\d++)?|None|True|False)"
OBJECT = rf"\{{\s*+(?:{PAIR}\s*+,?\s*+)*+\}}"
LITERAL_OBJECT = re.compile(rf"\s*+{OBJECT}\s*+", re.DOTALL)
LITERAL_OBJECTS = re.compile(rf"\s*+\[\s*+(?:{OBJECT}\s*+,?\s*+)*+\]\s*+", re.DOTALL)
LITERAL_PAIR = re.compile(PAIR, re.DOTALL)


def objects_of(cell: str) -> list[dict[str, Any]]:
    """The objects of a list; values that are not texts are None.

    Raises:
        ValueError: the cell is not a list of flat objects.
    """
    if not LITERAL_OBJECTS.fullmatch(cell):
        raise ValueError(f"expected a list of objects; found {cell[:40]!r}")
    return [
        {key[1:-1]: _unquoted(value) for key, value in LITERAL_PAIR.findall(match[0])}
        for match in LITERAL_OBJECT.finditer(cell)
    ]


@lru_cache(maxsize=1 << 14)  # genres, countries and languages recur from row to row
def _names_in(cell: str) -> tuple[str, ...]:
    return tuple(name for entry in objects_of(cell) if (name := entry.get("name")))


def names_of(cell: str | None) -> list[str]:
    """The names of the objects of a list."""
    return list(_names_in(cell)) if cell else []


def name_of(cell: str) -> str | None:
    """The name of one object.

    Raises:
        ValueError: the cell is not a flat object.
    """
    if not LITERAL_OBJECT.fullmatch(cell):
        raise ValueError(f"expected an object with a name; found {cell[:40]!r}")
    return objects_of(f"[{cell}]")[0].get("name")


def _unquoted(literal: str) -> str | None:
    if literal[0] not in "'\"":
        return None
    if "\\" not in literal:
        return text(literal[1:-1])
    try:
        return text(ast.literal_eval(literal))  # a single string: nothing to nest
    except SyntaxError as error:
        raise ValueError(f"expected a quoted name; found {literal[:40]!r} ({error.msg})") from None
