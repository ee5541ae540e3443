"""Markdown: tables, and text from elsewhere."""

import re
from collections.abc import Callable, Iterable, Mapping

# What begins a link, a picture, HTML, an entity, code, emphasis, a formula, an emoji, a cell; at the start a heading or a list.
SPECIAL = re.compile(r"[\\`*_\[\]!|<>~$:&@]|\.(?=[^\W\d])|^[#+\-=]")


def plain(text: str) -> str:
    """Text in one line in which Markdown finds nothing: text from elsewhere must not bring links, pictures or HTML."""
    line = "".join(letter if letter.isprintable() else " " for letter in text).strip()
    return SPECIAL.sub(r"\\\g<0>", line)


def in_cell(text: str) -> str:
    """Markdown that cannot end a cell of a table."""
    return text.replace("|", "\\|").replace("\n", " ")


def markdown_table(rows: Iterable[Mapping[str, str]], escaped: Callable[[str], str] = in_cell) -> str:
    """Rows with the same columns as a table; "" if there are none.

    Args:
        rows: Markdown by column.
        escaped: makes a cell of a text; `plain` for text from elsewhere.
    """
    found = list(rows)
    if not found:
        return ""
    lines = [[escaped(cell) for cell in line] for line in (found[0], *(row.values() for row in found))]
    return "\n".join("| " + " | ".join(line) + " |" for line in (lines[0], ["---"] * len(lines[0]), *lines[1:]))
