"""Text from elsewhere is shown as it is written."""

import pytest

from storage.markdown import plain


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
