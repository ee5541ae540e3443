import stat
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from threading import Thread
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage.errors import ArchiveError, StorageFullError, StorageUnwritableError
from storage.sources.movielens import archives
from storage.sources.movielens.archives import KNOWN_MEMBERS, unpack_release
from storage.sources.movielens.opening import open_release

RATINGS = b"userId,movieId,rating,timestamp\n1,1,4.0,5\n"
MOVIES = b"movieId,title,genres\n1,A,Drama\n"


def pack(path: Path, *members: tuple[str | zipfile.ZipInfo, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in members:
            if isinstance(name, zipfile.ZipInfo):
                name.compress_type = method
            archive.writestr(name, data)
    return path


def good(path: Path) -> Path:
    return pack(
        path,
        ("ml-x/", b""),
        ("ml-x/ratings.csv", RATINGS),
        ("ml-x/movies.csv", MOVIES),
        ("ml-x/README.txt", b"terms"),
        ("ml-x/evil.sh", b"rm"),
        ("__MACOSX/ml-x/._ratings.csv", b"junk"),
    )


def nothing_left(folder: Path) -> bool:
    return not folder.exists() or not list(folder.rglob("*"))


def test_known_members_are_unpacked_and_others_left(tmp_path: Path) -> None:
    folder = unpack_release(good(tmp_path / "ml-x.zip"), tmp_path / "into")
    assert folder.name == "ml-x"
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {
        "ratings.csv": RATINGS, "movies.csv": MOVIES, "README.txt": b"terms",
    }  # fmt: skip
    assert len(list((tmp_path / "into").iterdir())) == 1
    release = open_release(tmp_path / "ml-x.zip", tmp_path / "into")
    assert (release.name, release.folder, release.kind) == ("ml-x", folder, "csv")


def test_members_at_the_top(tmp_path: Path) -> None:
    folder = unpack_release(pack(tmp_path / "a.zip", ("u.data", b"x"), ("u.item", b"y")), tmp_path / "into")
    assert sorted(path.name for path in folder.iterdir()) == ["u.data", "u.item"]


def test_the_same_archive_is_unpacked_once_and_again_when_damaged(tmp_path: Path) -> None:
    folder = unpack_release(good(tmp_path / "ml-x.zip"), tmp_path / "into")
    before = (folder / "ratings.csv").stat().st_mtime_ns
    renamed = (tmp_path / "ml-x.zip").rename(tmp_path / "other.zip")
    assert unpack_release(renamed, tmp_path / "into") == folder
    assert (folder / "ratings.csv").stat().st_mtime_ns == before
    (folder / "ratings.csv").write_bytes(b"cut")
    again = unpack_release(renamed, tmp_path / "into")
    assert (again / "ratings.csv").read_bytes() == RATINGS
    (again / "movies.csv").unlink()
    (again.parent / archives.RECORD).write_text("{")
    assert (unpack_release(renamed, tmp_path / "into") / "movies.csv").read_bytes() == MOVIES


@pytest.mark.parametrize("change", ["flipped", "added", "linked"])
def test_unpacked_files_are_used_again_only_with_their_bytes(tmp_path: Path, change: str) -> None:
    archive = good(tmp_path / "ml-x.zip")
    ratings = unpack_release(archive, tmp_path / "into") / "ratings.csv"
    if change == "flipped":
        ratings.write_bytes(RATINGS.replace(b"4.0", b"5.0"))  # as long as before
    elif change == "added":
        (ratings.parent / "tags.csv").write_bytes(b"userId,movieId,tag,timestamp\n1,1,planted,5\n")
    else:
        (tmp_path / "elsewhere.csv").write_bytes(RATINGS)
        ratings.unlink()
        ratings.symlink_to(tmp_path / "elsewhere.csv")
    again = unpack_release(archive, tmp_path / "into")
    assert sorted(path.name for path in again.iterdir()) == ["README.txt", "movies.csv", "ratings.csv"]
    assert (again / "ratings.csv").read_bytes() == RATINGS
    assert not (again / "ratings.csv").is_symlink()


def test_what_a_killed_process_unpacked_is_removed(tmp_path: Path) -> None:
    killed = tmp_path / "into" / ".draft.0123456789abcdef.ab"
    killed.mkdir(parents=True)
    (killed / ".lock").touch()
    (killed / "ratings.csv").write_bytes(RATINGS[:10])
    unpack_release(good(tmp_path / "ml-x.zip"), tmp_path / "into")
    assert len(list((tmp_path / "into").iterdir())) == 1


def test_two_at_once(tmp_path: Path) -> None:
    archive = pack(tmp_path / "a.zip", ("ratings.csv", RATINGS * 100_000), method=zipfile.ZIP_STORED)
    copy = tmp_path / "b.zip"
    copy.write_bytes(archive.read_bytes())
    found: list[Path] = []

    def unpack(path: Path) -> None:
        found.append(unpack_release(path, tmp_path / "into"))

    threads = [Thread(target=unpack, args=(path,)) for path in (archive, copy, archive, copy)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert len(set(found)) == 1
    assert (found[0] / "ratings.csv").stat().st_size == len(RATINGS) * 100_000
    assert len(list((tmp_path / "into").iterdir())) == 1


def link(name: str, mode: int = stat.S_IFLNK | 0o777) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr = mode << 16
    return info


HOSTILE: dict[str, tuple[list[tuple[str | zipfile.ZipInfo, bytes]], str]] = {
    "traversal": ([("../ratings.csv", b"x")], "plain relative member names; found '../ratings.csv'"),
    "deep traversal": ([("ml-x/../../ratings.csv", b"x")], "plain relative member names"),
    "traversal of an unknown name": ([("ratings.csv", b"x"), ("../evil", b"x")], "plain relative member names"),
    "absolute": ([("/etc/ratings.csv", b"x")], "plain relative member names"),
    "backslashes": ([("..\\ratings.csv", b"x")], "plain relative member names"),
    "drive": ([("C:ratings.csv", b"x")], "plain relative member names"),
    "control characters": ([("ml\n/ratings.csv", b"x")], "plain relative member names"),
    "link": ([(link("ratings.csv"), b"/etc/passwd")], "files and folders only; found a link or device"),
    "link to a folder": ([(link("ml-x"), b"/etc"), ("ml-x/ratings.csv", b"x")], "files and folders only"),
    "device": ([(link("ratings.csv", stat.S_IFCHR | 0o666), b"")], "files and folders only"),
    "twice": ([("ratings.csv", b"x"), ("ratings.csv", b"y")], "every member once; found ratings.csv twice"),
    "two folders": ([("a/ratings.csv", b"x"), ("b/movies.csv", b"y")], "members of one folder; found a, b"),
    "too deep": ([("a/b/ratings.csv", b"x")], "members at the top or in one folder"),
    "unknown only": ([("evil.sh", b"x"), ("notes.txt", b"y")], "such as ratings.csv or u.data; found evil.sh, notes.txt"),
    "empty": ([], "found no members"),
    "bomb": ([("ratings.csv", b"0" * (8 << 20))], "shrink at most 100-fold; found 8,388,608 bytes from"),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_hostile_archives_are_refused_and_leave_nothing(tmp_path: Path, name: str) -> None:
    members, expected = HOSTILE[name]
    archive = pack(tmp_path / "a.zip", *members)
    with pytest.raises(ArchiveError) as refused:
        unpack_release(archive, tmp_path / "deep" / "into")
    assert expected in str(refused.value)
    assert nothing_left(tmp_path / "deep")
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == ["a.zip"]


def test_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = good(tmp_path / "a.zip")
    for limit, value, expected in (
        ("MAX_MEMBERS", 2, "at most 2 members; found 6"),
        ("MAX_MEMBER_BYTES", 30, "at most 30 bytes a member; found"),
        ("MAX_TOTAL_BYTES", 60, "at most 60 bytes in all; found"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(archives, limit, value)
            with pytest.raises(ArchiveError, match=expected):
                unpack_release(archive, tmp_path / "into")
    with pytest.raises(ArchiveError, match="packed otherwise"):
        unpack_release(pack(tmp_path / "b.zip", ("ratings.csv", RATINGS), method=zipfile.ZIP_LZMA), tmp_path / "into")
    assert nothing_left(tmp_path / "into")


def test_limits_count_the_unpacked_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = pack(tmp_path / "a.zip", ("ratings.csv", b"0" * 20_000), ("movies.csv", b"0" * 20_000))
    assert archive.stat().st_size < 1_000
    with monkeypatch.context() as patch:
        patch.setattr(archives, "MAX_TOTAL_BYTES", 39_999)
        with pytest.raises(ArchiveError, match="at most 39,999 bytes in all; found 40,000"):
            unpack_release(archive, tmp_path / "into")
    with monkeypatch.context() as patch:
        patch.setattr(archives.shutil, "disk_usage", lambda _: SimpleNamespace(free=39_999))
        with pytest.raises(StorageFullError, match=r"room for 40,000 bytes of a\.zip; found 39,999"):
            unpack_release(archive, tmp_path / "into")
    assert nothing_left(tmp_path / "into")
    monkeypatch.setattr(archives, "MAX_TOTAL_BYTES", 40_000)
    monkeypatch.setattr(archives.shutil, "disk_usage", lambda _: SimpleNamespace(free=40_000))
    assert (unpack_release(archive, tmp_path / "into") / "ratings.csv").stat().st_size == 20_000


def changed(data: bytes, signature: bytes, offset: int, value: bytes) -> bytes:
    place = data.index(signature) + offset
    return data[:place] + value + data[place + len(value) :]


CENTRAL, LOCAL = b"PK\x01\x02", b"PK\x03\x04"
DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "encrypted": lambda data: changed(changed(data, CENTRAL, 8, b"\x01\x00"), LOCAL, 6, b"\x01\x00"),
    "wrong checksum": lambda data: changed(data, CENTRAL, 16, b"\x00\x00\x00\x00"),
    "flipped byte": lambda data: data.replace(b"4.0", b"5.0"),
    "longer than packed": lambda data: changed(data, CENTRAL, 24, struct.pack("<I", 900)),
    "shorter than packed": lambda data: changed(data, CENTRAL, 24, struct.pack("<I", 3)),
    "overlapping": lambda data: changed(data, CENTRAL, 20, struct.pack("<I", 5_000)),
    "before the archive": lambda data: changed(data, b"PK\x05\x06", 16, struct.pack("<I", len(data) * 2)),
    "outside the archive": lambda data: changed(data, CENTRAL, 42, struct.pack("<I", 1 << 30)),
    "another name inside": lambda data: changed(data, LOCAL, 30, b"x"),
    "cut": lambda data: data[: len(data) // 2],
    "no zip": lambda data: b"<html>" + bytes(50),
    "empty": lambda data: b"",
}


@pytest.mark.parametrize("name", DAMAGE)
def test_damaged_archives_are_refused_and_leave_nothing(tmp_path: Path, name: str) -> None:
    archive = pack(tmp_path / "a.zip", ("ratings.csv", RATINGS), method=zipfile.ZIP_STORED)
    archive.write_bytes(DAMAGE[name](archive.read_bytes()))
    with pytest.raises(ArchiveError, match="expected"):
        unpack_release(archive, tmp_path / "into")
    assert nothing_left(tmp_path / "into")


def test_absent_archive_and_unwritable_folder(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match="found none"):
        unpack_release(tmp_path / "absent.zip", tmp_path / "into")
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageUnwritableError, match="MARQUEE_HOME"):
        unpack_release(good(tmp_path / "a.zip"), tmp_path / "file" / "into")


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_random_damage_unpacks_the_same_bytes_or_nothing(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("z")
    archive = good(folder / "a.zip")
    raw = bytearray(archive.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(raw) - 1))
        noise = data.draw(st.binary(min_size=1, max_size=4))
        raw[place : place + len(noise)] = noise
    archive.write_bytes(raw)
    try:
        unpacked = unpack_release(archive, folder / "into")
    except ArchiveError:
        assert nothing_left(folder / "into")
    else:
        contents = {path.name: path.read_bytes() for path in unpacked.iterdir()}
        assert contents.keys() <= KNOWN_MEMBERS
        assert all(text in (RATINGS, MOVIES, b"terms", b"rm", b"junk") for text in contents.values())
    assert sorted(path.name for path in folder.iterdir()) in (["a.zip"], ["a.zip", "into"])


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.text("./\\:a\0é", max_size=8).flatmap(lambda text: st.sampled_from([text, text + "ratings.csv"])),
            st.sampled_from([0, stat.S_IFREG, stat.S_IFLNK, stat.S_IFDIR, stat.S_IFIFO]),
        ),
        max_size=4,
    )
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_no_name_leads_outside(tmp_path_factory: pytest.TempPathFactory, members: list[tuple[str, int]]) -> None:
    folder = tmp_path_factory.mktemp("z")
    archive = pack(folder / "a.zip", *((link(name, mode), b"x") for name, mode in members))
    try:
        unpacked = unpack_release(archive, folder / "in" / "to")
        assert [path.name for path in unpacked.iterdir()] == ["ratings.csv"]
    except ArchiveError:
        assert nothing_left(folder / "in")
    outside = [path for path in folder.rglob("*") if path.is_file() and folder / "in" / "to" not in path.parents]
    assert outside == [archive]
    assert not [path for path in folder.rglob("*") if path.is_symlink()]
