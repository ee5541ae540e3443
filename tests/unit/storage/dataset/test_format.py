"""Files that declare something else than the format, or lead to other files."""

import shutil
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from unit.storage.dataset.hostile_support import (
    Attack,
    attribute,
    elsewhere,
    external_storage,
    replaced,
    spoilt,
    text_of_variable_length,
    values,
)
from unit.storage.dataset.transitions_support import arguments, some_histories, written

from storage.dataset.compact_source import CompactSource
from storage.dataset.dense_source import DenseSource
from storage.dataset.dense_writer import export_dense
from storage.dataset.extension import extend_transitions
from storage.dataset.format import COMPACT, DENSE, MAX_FRAME
from storage.dataset.reader import TransitionDataset
from storage.dataset.splits import SplitParams
from storage.dataset.structure import MAX_TEXT
from storage.errors import DatasetError
from storage.tables import LATEST_SECOND

LENGTHS = [8, 9, 30, 5]
RATING = "events/rating"


def extended(path: Path) -> None:
    given = arguments(some_histories(LENGTHS))
    extend_transitions(
        path,
        lambda: [],
        out=path.with_name("extended.h5"),
        movie_ids=given["movie_ids"],
        embeddings=given["embeddings"],
        splits=SplitParams(),
        provenance={},
    )


COMPACT_READERS: dict[str, Callable[[Path], object]] = {
    "dataset": TransitionDataset.open,
    "source": lambda path: CompactSource(path, "all"),
    "export": lambda path: export_dense(path, path.with_name("exported.h5"), splits=("all",)),
    "extend": extended,
}


def copied(path: Path, folder: Path) -> Path:
    return Path(shutil.copy(path, folder))


def declared_huge(name: str) -> Attack:
    """Chunks that are not written take no room in a file."""

    def change(file: h5py.File, secret: Path) -> None:
        shape = (1 << 40, *file[name].shape[1:])
        replaced(name, data=None, shape=shape, dtype=file[name].dtype, chunks=(1 << 9, *shape[1:]))(file, secret)

    return change


def moved(group: str) -> Attack:
    def change(file: h5py.File, _: Path) -> None:
        file.move(group, "hidden")
        file[group] = h5py.SoftLink("/hidden")

    return change


def reference(name: str) -> Attack:
    def change(file: h5py.File, secret: Path) -> None:
        data = np.array([file.ref] * len(file[name]), dtype=h5py.ref_dtype)
        replaced(name, data=data, dtype=h5py.ref_dtype)(file, secret)

    return change


DECLARATIONS: dict[str, tuple[Attack, str]] = {
    **{f"external storage of {name}": (external_storage(name), "external storage") for name in COMPACT},
    **{
        f"external link {name}": (elsewhere(name, "external"), "ExternalLink") for name in (*COMPACT, "events", "users")
    },
    **{f"virtual {name}": (elsewhere(name, "virtual"), "a virtual dataset") for name in COMPACT},
    **{f"soft link {name}": (elsewhere(name, "soft"), "hidden") for name in ("items/embedding", "items")},
    "soft link within the file": (moved("users"), "hidden"),
    "more": (lambda file, _: file.create_dataset("events/more", data=[1]), "more"),
    "less": (lambda file, _: file.__delitem__("users/id"), "members"),
    "a group for a member": (
        lambda file, _: (file.__delitem__("users/id"), file.create_group("users/id")),
        "a dataset",
    ),
    "signed": (replaced("users/split", dtype="int8"), "users/split of uint8; found int8"),
    "wide": (replaced("items/embedding", dtype="float64"), "of float32; found float64"),
    "big-endian": (replaced("items/id", dtype=">i8"), "of int64; found >i8"),
    "strings": (
        replaced("users/id", data=["a"] * 4, dtype=h5py.string_dtype(), fletcher32=False),
        "of int64; found object",
    ),
    "ragged": (
        replaced("users/id", data=None, shape=(4,), dtype=h5py.vlen_dtype("int64"), fletcher32=False),
        "of int64; found object",
    ),
    "references": (reference("users/id"), "of int64; found object"),
    "compound": (replaced("users/id", data=np.zeros(4, [("a", "i8")])), "users/id of int64"),
    "an enumeration": (replaced("users/split", dtype=h5py.enum_dtype({"train": 0}, "u1")), "users/split of uint8"),
    "rank": (replaced("users/id", data=np.arange(4).reshape(4, 1)), "1 dimensions"),
    "scalar": (replaced("users/id", data=np.int64(4), chunks=None, fletcher32=False), "stored in chunks"),
    "no dimension of numbers": (
        replaced("items/embedding", data=np.zeros(20, np.float32)),
        "2 dimensions",
    ),
    "lengths": (replaced("users/split", data=np.zeros(5, np.uint8)), "members that fit one another, U = 4"),
    "offsets": (replaced("users/offset", data=np.arange(4)), "members that fit one another, U = 4"),
    "ratings": (replaced(RATING, data=np.ones(51, np.uint8)), "members that fit one another, N = 52"),
    "huge": (declared_huge("items/embedding"), "members"),
    "huge events": (lambda file, _: [declared_huge(name)(file, _) for name in list(COMPACT)[:3]], "members within"),
    "huge chunks": (
        replaced("users/id", data=None, shape=(4,), maxshape=(None,), dtype="i8", chunks=(1 << 28,)),
        "chunks of users/id within",
    ),
    "compressed": (replaced("users/id", compression="gzip"), "Fletcher-32 checksums only"),
    "without checksums": (replaced("users/id", fletcher32=False), "Fletcher-32 checksums only"),
    "contiguous": (replaced("users/id", chunks=None, fletcher32=False), "contiguous storage"),
    "format as an array": (attribute("format", np.array([b"marquee-transitions/2"] * 9)), "attribute format of str"),
    "format of no value": (attribute("format", h5py.Empty("S21")), "attribute format of str"),
    "format of another alphabet": (attribute("format", np.bytes_(b"\xff")), "decode byte 0xff"),
    "no layout": (attribute("layout", None), "found None"),
    "no frame": (attribute("frame", None), "attributes"),
    "frame 0": (attribute("frame", 0), f"frame of 1 … {MAX_FRAME}; found 0"),
    "frame -3": (attribute("frame", -3), "found -3"),
    "frame 10⁹": (attribute("frame", 10**9), "found 1000000000"),
    "frame 3.5": (attribute("frame", 3.5), "attribute frame of int"),
    "frames": (attribute("frame", np.arange(10**4)), "attribute frame of int"),
    "time cut before 1970": (attribute("time_cut", -1), "time_cut of 0"),
    "time cut after 2100": (attribute("time_cut", LATEST_SECOND + 1), "time_cut of 0"),
    "splits": (attribute("splits", "test,validation,train"), "splits train,validation,test"),
    "provenance": (attribute("provenance_items", np.zeros(4)), "provenance_items of str"),
    "long provenance": (attribute("provenance_items", "i" * (MAX_TEXT + 1)), "provenance_items of str"),
    "a further attribute": (attribute("note", "x"), "attributes"),
    "no scale": (attribute("rating_step", None, RATING), "attributes"),
    "scale of NaN": (attribute("rating_step", np.nan, RATING), "attributes of a rating scale"),
    "scale of text": (attribute("rating_step", "0.5", RATING), "attribute rating_step of float"),
    "infinite reward": (attribute("reward_offset", np.inf, RATING), "a reward map"),
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("whole"), LENGTHS).path


@pytest.fixture(scope="module")
def whole_dense(whole: Path) -> Path:
    export_dense(whole, whole.with_name("dense.h5"), splits=("train", "test"))
    return whole.with_name("dense.h5")


@pytest.mark.parametrize("name", DECLARATIONS)
def test_a_file_that_declares_something_else_is_refused_by_every_reader(tmp_path: Path, whole: Path, name: str) -> None:
    attack, message = DECLARATIONS[name]
    path = spoilt(copied(whole, tmp_path), attack)
    for read in COMPACT_READERS.values():
        with pytest.raises(DatasetError, match=r"expected (.|\n)*; found") as refused:
            read(path)
        assert message in str(refused.value)
        assert "PRIVATE" not in str(refused.value)
    assert not {found.name for found in tmp_path.iterdir()} & {"exported.h5", "extended.h5"}


@pytest.mark.parametrize(
    ("name", "of"),
    [("format", "/"), ("layout", "/"), ("splits", "/"), ("provenance_events", "/"), ("rating_step", RATING)],
)
def test_text_of_variable_length_is_refused_and_not_read(tmp_path: Path, whole: Path, name: str, of: str) -> None:
    path = spoilt(copied(whole, tmp_path), text_of_variable_length(name, of))
    heap = path.read_bytes()
    assert heap.count(b"GCOL") == 1
    path.write_bytes(heap.replace(b"GCOL", b"\0\0\0\0"))  # whoever reads the text now gets another error
    with h5py.File(path) as file, pytest.raises(OSError, match="heap"):
        file[of].attrs[name]
    for read in COMPACT_READERS.values():
        with pytest.raises(DatasetError, match=f"expected attribute {name} of fixed length; found one of variable"):
            read(path)


DENSE_DECLARATIONS: dict[str, tuple[Attack, str]] = {
    **{f"external storage of {name}": (external_storage(name), "external storage") for name in list(DENSE)[:4]},
    **{f"external link {name}": (elsewhere(name, "external"), "ExternalLink") for name in DENSE},
    **{f"virtual {name}": (elsewhere(name, "virtual"), "a virtual dataset") for name in DENSE},
    "soft link": (elsewhere("actions", "soft"), "hidden"),
    "wide": (replaced("observations", dtype="float64"), "of float32 or float16; found float64"),
    "two dtypes": (replaced("actions", dtype="float16"), "observations and actions of one dtype"),
    "terminals as numbers": (replaced("terminals", dtype="uint8"), "terminals of bool"),
    "rows": (replaced("rewards", data=np.ones(9, np.float32)), "members that fit one another"),
    "dim": (attribute("dim", 5), "columns"),
    "dim 0": (attribute("dim", 0), "dim of 1"),
    "frame": (attribute("frame", 2), "columns"),
    "unknown split": (attribute("splits", "train,secret"), "different, known splits"),
    "a split twice": (attribute("splits", "train,train"), "different, known splits"),
    "split rows beyond": (attribute("split_rows", np.array([0, 10**6, 10**7])), "first rows of 2 splits"),
    "split rows negative": (attribute("split_rows", np.array([0, -5, 36])), "first rows of 2 splits"),
    "split rows as floats": (attribute("split_rows", np.array([0.0, 1.0, 2.0])), "split_rows of list"),
    "no split rows": (attribute("split_rows", None), "attributes"),
    "scale": (attribute("rating_min", 1.0), "attributes of one rating scale"),
}


@pytest.mark.parametrize("name", DENSE_DECLARATIONS)
def test_a_dense_file_that_declares_something_else_is_refused(tmp_path: Path, whole_dense: Path, name: str) -> None:
    attack, message = DENSE_DECLARATIONS[name]
    path = spoilt(copied(whole_dense, tmp_path), attack)
    with pytest.raises(DatasetError, match=r"expected .*; found") as refused:
        DenseSource(path)
    assert message in str(refused.value)


def compact_values(path: Path) -> list[object]:
    data = TransitionDataset.open(path)
    parts = (data.item, data.rating_code, data.embedding, data.offset, data.reward_of_code, data.timestamps())
    return [data.frame, data.scale, data.head.provenance, data.timely.tolist(), *(part.tolist() for part in parts)]


def dense_values(path: Path) -> list[object]:
    source = DenseSource(path)
    loaded = source.load(range(len(source.rows)))
    parts = (*loaded.compact, loaded.rows, loaded.last_of_run)
    return [source.frame, source.dim, *(part.tolist() for part in parts)]


@pytest.mark.parametrize("read", [compact_values, dense_values])
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_flipped_byte_gives_an_error_or_the_same_values(
    whole: Path, whole_dense: Path, tmp_path: Path, read: Callable[[Path], object], data: st.DataObject
) -> None:
    good = whole if read is compact_values else whole_dense
    content = bytearray(good.read_bytes())
    place = data.draw(st.integers(0, len(content) - 1), label="place")
    content[place] ^= data.draw(st.integers(1, 255), label="flip")
    path = tmp_path / "flipped.h5"
    path.write_bytes(content)
    try:
        found = read(path)
    except DatasetError:
        return
    assert found == read(good)


DENSE_VALUES: dict[str, Attack] = {
    "observation": values("observations", lambda found: np.where(np.arange(len(found))[:, None] == 0, np.nan, found)),
    "action": values("actions", lambda found: np.full_like(found, np.inf)),
    "reward": values("rewards", lambda found: np.full_like(found, np.nan)),
    "terminal": values("terminals", lambda found: np.full(len(found), 2, np.uint8).view(bool)),
    "timeout": values("timeouts", lambda found: np.full(len(found), 255, np.uint8).view(bool)),
}


@pytest.mark.parametrize("name", DENSE_VALUES)
def test_dense_values_out_of_range_are_refused_when_they_are_read(tmp_path: Path, whole_dense: Path, name: str) -> None:
    source = DenseSource(spoilt(copied(whole_dense, tmp_path), DENSE_VALUES[name]))
    with pytest.raises(DatasetError, match=r"expected (finite rows|terminals and timeouts of 0 or 1); found"):
        source.load(range(len(source.rows)))
