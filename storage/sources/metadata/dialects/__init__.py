"""The registry of known metadata exports: a new dialect is its file and one line here."""

from pathlib import Path

from storage.errors import MetadataError
from storage.sources.metadata.dialects.dialect import Dialect
from storage.sources.metadata.dialects.movies_dataset import MOVIES_CREDITS, MOVIES_KEYWORDS, MOVIES_METADATA
from storage.sources.metadata.dialects.tmdb_5000 import TMDB_5000_CREDITS, TMDB_5000_MOVIES
from storage.sources.metadata.dialects.tmdb_json import TMDB_JSON
from storage.sources.metadata.dialects.tmdb_movies import TMDB_MOVIES

# The first dialect whose columns a header has reads the file, so those with more telling columns come first.
DIALECTS: tuple[Dialect, ...] = (
    TMDB_MOVIES,
    TMDB_5000_MOVIES,
    MOVIES_METADATA,
    TMDB_5000_CREDITS,
    MOVIES_CREDITS,
    MOVIES_KEYWORDS,
    TMDB_JSON,
)


def find_dialect(path: Path, columns: tuple[str, ...]) -> Dialect:
    """The dialect of a file with these columns; no columns: JSON lines.

    Raises:
        MetadataError: no dialect fits.
    """
    for dialect in DIALECTS:
        if dialect.fits(columns):
            return dialect
    known = ", ".join(dialect.name for dialect in DIALECTS)
    raise MetadataError(
        f"{path}: expected the header of a known export ({known}); found {','.join(columns)[:200]!r}. Map its columns "
        "with `columns=` in MetadataFile."
    )
