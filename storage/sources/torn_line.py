"""Tell a last line that was cut within its timestamp, as a full disk or a broken transfer leaves it."""


def torn_timestamp(found: int, earliest: int | None) -> str | None:
    """Why the last line of a file, which lacks its line end, is a torn one; None if nothing shows that it is.

    A cut takes digits away: 847434962 becomes 8474, which is a time in 1970. Order numbers (0, 1, 2 …) are times too, so a
    timestamp is not judged by its year but by the other timestamps of the file.

    Args:
        found: the timestamp that ends the line, unix seconds.
        earliest: the smallest timestamp of all lines before; None: there are none.
    """
    if earliest is None or len(str(found)) >= len(str(earliest)):
        return None
    return f"expected a line end, or a timestamp of at least {len(str(earliest))} digits as in all other lines; found {found}"
