"""Text from elsewhere is shown as it is written, and in its cell of a table."""

import pytest

from storage.markdown import markdown_table, plain


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Heat (1995), 0.0400 to 0.0512.", "Heat (1995), 0.0400 to 0.0512."),
        ("[a](b)", r"\[a\](b)"),
        ("![a][b] <i>&lt;", r"\!\[a\]\[b\] \<i\>\&lt;"),
        ("# x\n- y | z", r"\# x - y \| z"),
        ("*a* _b_ `c` ~d~ $e$ :f:", r"\*a\* \_b\_ \`c\` \~d\~ \$e\$ \:f\:"),
        ("http://www.a.b c@d", r"http\://www\.a\.b c\@d"),
        ("\x1b[0m\\", r"\[0m\\"),
    ],
)
def test_markdown_is_escaped(text: str, expected: str) -> None:
    assert plain(text) == expected


def test_a_cell_cannot_break_its_table() -> None:
    assert markdown_table([{"name": "a|b\nc"}]).splitlines() == ["| name |", "| --- |", "| a\\|b c |"]
    assert markdown_table([{"name": "*a*|b"}], plain).splitlines()[2] == r"| \*a\*\|b |"
    assert markdown_table([]) == ""
