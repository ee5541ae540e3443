"""Text from elsewhere in Markdown."""

import re

# What begins a link, a picture, HTML, an entity, code, emphasis, a formula, an emoji, a cell; at the start a heading or a list.
SPECIAL = re.compile(r"[\\`*_\[\]!|<>~$:&@]|\.(?=[^\W\d])|^[#+\-=]")


def plain(text: str) -> str:
    """Text in one line in which Markdown finds nothing: text from elsewhere must not bring links, pictures or HTML."""
    line = "".join(letter if letter.isprintable() else " " for letter in text).strip()
    return SPECIAL.sub(r"\\\g<0>", line)
