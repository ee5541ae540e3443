"""Opens what a user names (a folder, an archive or the name of a release) as a release on disk."""

from collections.abc import Callable
from pathlib import Path

from storage.errors import SourceError
from storage.sources.movielens.archives import unpack_release
from storage.sources.movielens.downloads import BASE_URL, RELEASES, fetch_release
from storage.sources.movielens.releases import Release, find_release


def open_release(
    source: Path | str,
    into: Path,
    *,
    base_url: str = BASE_URL,
    progress: Callable[[int, int | None], None] | None = None,
) -> Release:
    """The release in a folder or a local archive, or of a known name, which is downloaded and checked.

    An existing path has precedence over a name.

    Args:
        source: a folder, a .zip file, or a name in `RELEASES`.
        into: folder for downloads and unpacked archives; both are re-used.
        base_url: address from which named releases are fetched.
        progress: called with the bytes so far and in all during a download.

    Raises:
        SourceError: `source` is none of these or not a release; also ArchiveError and DownloadError, its subclasses.
    """
    path = Path(source)
    if path.is_dir():
        return find_release(path)
    if path.is_file():
        return find_release(unpack_release(path, into))
    if str(source) in RELEASES:
        archive = fetch_release(str(source), into, base_url=base_url, progress=progress)
        return find_release(unpack_release(archive, into))
    raise SourceError(
        f"{source}: expected a folder or .zip with a MovieLens release, or one of {', '.join(RELEASES)}; found none."
    )
