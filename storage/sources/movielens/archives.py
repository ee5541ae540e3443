"""Unpacks archives safely: known names only, bounded sizes, checked bytes, a whole folder or none."""

import json
import logging
import shutil
import stat
import struct
import zipfile
import zlib
from pathlib import Path, PurePosixPath
from typing import Any

from storage.drafts import draft_beside
from storage.errors import ArchiveError, StorageFullError
from storage.files import fsync_path, remove_folder, rename_folder, sha256_file, writing_to
from storage.sources.packed_files import ZIP_METHODS

logger = logging.getLogger("marquee.ingest")

# The tables of all releases and their descriptions; other members stay in the archive.
KNOWN_MEMBERS = frozenset(
    {"ratings.csv", "movies.csv", "links.csv", "tags.csv", "genome-scores.csv", "genome-tags.csv"}
    | {"ratings.dat", "movies.dat", "tags.dat", "users.dat"}
    | {"u.data", "u.item", "u.genre", "u.user", "u.occupation", "u.info"}
    | {"README", "README.txt", "README.html", "checksums.txt"}
)
MAX_MEMBERS = 1_000
MAX_MEMBER_BYTES = 4 << 30  # the largest table today, ratings.csv of ml-latest, has 0.9 GB
MAX_TOTAL_BYTES = 8 << 30
MAX_RATIO = 100  # ratings and genome scores shrink 4- to 10-fold; deflate's limit is 1,032
RATIO_FREE_BYTES = 1 << 20  # members up to this size may have any ratio
RECORD = "unpacked.json"
CHUNK_BYTES = 1 << 20
# RuntimeError includes NotImplementedError; LookupError is IndexError or KeyError.
BROKEN = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, RuntimeError, ValueError, OverflowError, LookupError)


def unpack_release(archive: Path, into: Path) -> Path:
    """Unpack the known members of a zip into a folder named by the archive's hash; a second call finds that folder.

    Members are at the top or in one folder; members with other names stay in the archive. The written bytes are checked
    against the sizes and CRC-32 in the archive, and the whole folder appears by one rename. A folder is used again only
    if the CRC-32 of each of its files is still that of the archive; else the archive is unpacked again.

    Args:
        archive: the .zip of a release.
        into: parent of the folder.

    Returns: the folder `into`/<first 16 digits of the archive's SHA-256>/<the archive's name>.

    Raises:
        ArchiveError: the file is not a zip or is damaged, has no known member, or has a member with an absolute path,
            `..`, a link, a password, an unusual compression, a repeated name, or a size or ratio beyond the limits.
        StorageFullError, StorageUnwritableError: `into` has no room or cannot be written; nothing partial stays.
    """
    if not archive.is_file():
        raise ArchiveError(f"{archive}: expected a zip archive; found none. Check the path.")
    try:
        sha256 = sha256_file(archive)
    except OSError as error:
        raise ArchiveError(
            f"{archive}: expected a readable file; found: {error.strerror}. Check the path and its permissions."
        ) from error
    home = into / sha256[:16]
    if (done := _unpacked(home, sha256)) is not None:
        return done
    name = archive.name.split(".")[0] or "release"
    try:
        with writing_to(into), zipfile.ZipFile(archive) as opened:
            members = _checked(archive, opened)
            with draft_beside(home) as draft:
                needed = sum(member.file_size for member in members.values())
                (draft / name).mkdir(parents=True)
                free = shutil.disk_usage(into).free
                if free < needed:
                    raise StorageFullError(
                        f"{into}: expected room for {needed:,} bytes of {archive.name}; found {free:,}. Free some space, or "
                        "set MARQUEE_HOME to a larger disk."
                    )
                for basename, member in members.items():
                    _write(opened, member, draft / name / basename)
                sums = {basename: member.CRC for basename, member in members.items()}
                record = {"archive": archive.name, "sha256": sha256, "folder": name, "crc32": sums}
                (draft / RECORD).write_text(json.dumps(record, indent=1))
                for path in (draft / RECORD, draft / name, draft):
                    fsync_path(path)
                return _move(draft, home, sha256, name)
    except BROKEN as error:
        raise ArchiveError(f"{archive}: expected a whole zip archive; found: {error}. Fetch it again.") from error


def _unpacked(home: Path, sha256: str) -> Path | None:
    """The folder of an earlier call if it holds the files of the archive, byte for byte; else None."""
    try:
        record = json.loads((home / RECORD).read_text())
        folder = home / str(record["folder"])
        if record["sha256"] == sha256 and {path.name: _crc32(path) for path in folder.iterdir()} == record["crc32"]:
            return folder
    except (OSError, ValueError, KeyError, TypeError):
        return None
    logger.warning("%s: an unpacked file is missing, was changed or was added; unpacking again", home)
    return None


def _crc32(path: Path) -> int | None:
    """The CRC-32 of a file's bytes, which costs a third of a SHA-256; None for a link or anything but a file."""
    if not stat.S_ISREG(path.lstat().st_mode):
        return None
    found = 0
    with path.open("rb") as stream:
        while chunk := stream.read(CHUNK_BYTES):
            found = zlib.crc32(chunk, found)
    return found


def _move(draft: Path, home: Path, sha256: str, name: str) -> Path:
    """Rename the draft to its final name; if another process unpacked the same archive first, its folder stays."""
    while not rename_folder(draft, home):
        if (done := _unpacked(home, sha256)) is not None:
            return done
        remove_folder(home)  # an earlier folder that was damaged later
    return home / name


def _checked(archive: Path, opened: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """The members to unpack, by base name, after all members have been checked."""
    members = opened.infolist()
    _require(len(members) <= MAX_MEMBERS, archive, f"at most {MAX_MEMBERS} members", f"{len(members)}")
    known: dict[str, zipfile.ZipInfo] = {}
    folders, left = set(), []
    for member in members:
        path = _safe_path(archive, member)
        if member.is_dir():
            continue
        if path.name not in KNOWN_MEMBERS:
            left.append(member.filename)
            continue
        _check_size(archive, member)
        _require(len(path.parts) <= 2, archive, "members at the top or in one folder", repr(member.filename))
        _require(path.name not in known, archive, "every member once", f"{path.name} twice")
        known[path.name] = member
        folders.add(path.parent)
    expected = "the tables of a MovieLens release, such as ratings.csv or u.data"
    _require(bool(known), archive, expected, ", ".join(left[:5]) or "no members")
    _require(len(folders) == 1, archive, "members of one folder", ", ".join(sorted(map(str, folders))))
    total = sum(member.file_size for member in known.values())
    _require(total <= MAX_TOTAL_BYTES, archive, f"at most {MAX_TOTAL_BYTES:,} bytes in all", f"{total:,}")
    packed = sum(member.compress_size for member in known.values())
    size = archive.stat().st_size
    within = all(0 <= member.header_offset < size for member in known.values())
    _require(within, archive, "members within the archive", "one that begins outside it")
    _require(packed <= size, archive, f"at most {size:,} packed bytes, its own size", f"{packed:,}: members overlap")
    if left:
        logger.info("%s: %d other members stay in the archive: %s", archive.name, len(left), ", ".join(left[:10]))
    return known


def _safe_path(archive: Path, member: zipfile.ZipInfo) -> PurePosixPath:
    name, original = member.filename, member.orig_filename
    plain = name == original and "\\" not in name and ":" not in name and name.isprintable()
    path = PurePosixPath(name)
    safe = plain and not path.is_absolute() and ".." not in path.parts and bool(path.parts)
    _require(safe, archive, "plain relative member names", repr(original))
    kind = stat.S_IFMT(member.external_attr >> 16)
    _require(kind in (0, stat.S_IFREG, stat.S_IFDIR), archive, "files and folders only", f"a link or device, {name!r}")
    _require(not member.flag_bits & 0x1, archive, "members without a password", f"{name!r} with one")
    return path


def _check_size(archive: Path, member: zipfile.ZipInfo) -> None:
    name, size, packed = member.filename, member.file_size, member.compress_size
    _require(member.compress_type in ZIP_METHODS, archive, "stored or deflated members", f"{name!r} packed otherwise")
    _require(size <= MAX_MEMBER_BYTES, archive, f"at most {MAX_MEMBER_BYTES:,} bytes a member", f"{size:,} in {name!r}")
    fair = size <= RATIO_FREE_BYTES or size <= MAX_RATIO * packed
    _require(
        fair, archive, f"members that shrink at most {MAX_RATIO}-fold", f"{size:,} bytes from {packed:,} in {name!r}"
    )


def _write(opened: zipfile.ZipFile, member: zipfile.ZipInfo, path: Path) -> None:
    """Write one member; zipfile stops at the size that its entry declares and compares the CRC-32."""
    written = 0
    with opened.open(member) as source, path.open("xb") as target:
        while chunk := source.read(CHUNK_BYTES):
            written += len(chunk)
            target.write(chunk)
    if written != member.file_size:
        raise zipfile.BadZipFile(f"{member.filename} ends after {written:,} of {member.file_size:,} bytes")
    fsync_path(path)


def _require(holds: bool, archive: Path, expected: str, found: Any) -> None:
    if not holds:
        raise ArchiveError(
            f"{archive}: expected {expected}; found {found}. Nothing was unpacked; fetch the archive from grouplens.org."
        )
