"""The format of a transition dataset: its members and attributes, which are checked whenever a file is opened."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, get_args

import h5py
from pydantic import ValidationError

from storage.dataset.scale import RatingScale, RewardMap
from storage.dataset.splits import SplitMode
from storage.dataset.structure import Member, attribute, attributes_of, need, need_members
from storage.errors import DatasetError
from storage.tables import LATEST_SECOND, MAX_DIM

FORMAT = "marquee-transitions/2"
SPLIT_NAMES = ("train", "validation", "test")  # their place is the code in /users/split
MODE_OF_SPLITS: dict[str, SplitMode] = {
    ",".join(SPLIT_NAMES): "users",
    "leave-one-out": "leave-one-out",
}  # attribute `splits`
MAX_FRAME = 200  # events of an observation
COMPACT = {
    "events/item": Member(("N",), ("uint16", "int32")),
    "events/rating": Member(("N",), ("uint8",)),
    "events/timestamp": Member(("N",), ("int64",)),
    "users/id": Member(("U",), ("int64",)),
    "users/offset": Member(("U+1",), ("int64",)),
    "users/split": Member(("U",), ("uint8",)),
    "items/id": Member(("I",), ("int64",)),
    "items/embedding": Member(("I", "D"), ("float32",)),
}
DENSE = {
    "observations": Member(("T", "S"), ("float32", "float16")),
    "actions": Member(("T", "D"), ("float32", "float16")),
    "rewards": Member(("T",), ("float32",)),
    "next_observations": Member(("T", "S"), ("float32", "float16")),
    "terminals": Member(("T",), ("bool",)),
    "timeouts": Member(("T",), ("bool",)),
}
EVENT_MEMBERS = tuple(COMPACT)[:3]
SCALE_ATTRIBUTES = dict.fromkeys(  # of /events/rating, and of a dense file
    ("rating_min", "rating_step", "rating_lowest", "rating_highest", "reward_scale", "reward_offset"), float
)
ATTRIBUTES: dict[str, type] = {"format": str, "layout": str, "splits": str, "frame": int, "time_cut": int}
DENSE_ATTRIBUTES: dict[str, type] = {**ATTRIBUTES, **SCALE_ATTRIBUTES, "dim": int, "split_rows": list}
ATTRIBUTES_OF: dict[str, dict[str, type]] = {
    "compact": ATTRIBUTES,
    "dense": DENSE_ATTRIBUTES,
    "encoded": {**DENSE_ATTRIBUTES, "width": int},
}
RANGES = {"frame": (1, MAX_FRAME), "dim": (1, MAX_DIM), "width": (1, MAX_DIM), "time_cut": (0, LATEST_SECOND)}
PROVENANCE = "provenance_"  # followed by the name of an input: its digest

Split = Literal["train", "validation", "test", "time", "all"]
Layout = Literal["compact", "dense", "encoded"]


def scale_attributes(scale: RatingScale, reward: RewardMap) -> dict[str, float]:
    """Attributes of /events/rating: rating = rating_min + rating_step * code, reward = reward_scale * rating + reward_offset."""
    return {
        "rating_min": scale.rating_min,
        "rating_step": scale.step,
        "rating_lowest": scale.lowest,
        "rating_highest": scale.highest,
        "reward_scale": reward.scale,
        "reward_offset": reward.offset,
    }


@contextmanager
def opened(path: Path, layout: Layout) -> Iterator[h5py.File]:
    """A transition dataset of one layout, to be read; it refers to no other file, and its members and attributes are as declared.

    Raises:
        DatasetError: the file is missing, damaged (also where that shows only while reading), of another format, or not as declared.
    """
    try:
        with h5py.File(path, "r") as file:
            _need_layout(file, layout)
            yield file
    except OSError as error:
        raise _damaged(path, error) from error


def _need_layout(file: h5py.File, layout: Layout) -> None:
    """Check all that does not take longer for a larger file."""
    try:
        found, kind = (attribute(file, name, str) if name in file.attrs else None for name in ("format", "layout"))
        if found != FORMAT:
            raise DatasetError(
                f"{file.filename}: expected format {FORMAT}; found {found!r}. Pull it again or run build-dataset again."
            )
        if kind != layout:
            raise DatasetError(f"{file.filename}: expected the {layout} layout; found {kind}. {_OTHER[layout]}")
        sizes = need_members(file, COMPACT if layout == "compact" else DENSE)
        known = attributes_of(file, ATTRIBUTES_OF[layout], PROVENANCE)
        for name, (least, most) in RANGES.items():
            if name in known:
                need(file, least <= known[name] <= most, f"attribute {name} of {least} … {most}", known[name])
        if layout == "compact":
            need(file, known["splits"] in MODE_OF_SPLITS, f"splits {' or '.join(MODE_OF_SPLITS)}", known["splits"])
            scale_and_reward(file, attributes_of(file["events/rating"], SCALE_ATTRIBUTES))
        else:
            _need_dense(file, sizes, known)
    except (KeyError, RuntimeError, TypeError, ValueError) as error:  # of h5py, on declarations that it does not know
        raise _damaged(Path(file.filename), error) from error


def _need_dense(file: h5py.File, sizes: Mapping[str, int], known: Mapping[str, Any]) -> None:
    """Check the attributes of a dense or encoded file against its members."""
    scale_and_reward(file, {name: known[name] for name in SCALE_ATTRIBUTES})
    dim = known["dim"]
    width = known.get("width", known["frame"] * (dim + 1))
    need(file, (sizes["S"], sizes["D"]) == (width, dim), f"{width} and {dim} columns", (sizes["S"], sizes["D"]))
    kinds = {file[name].dtype.name for name in ("observations", "actions", "next_observations")}
    need(file, len(kinds) == 1, "observations and actions of one dtype", sorted(kinds))
    names, rows = known["splits"].split(","), known["split_rows"]
    need(file, set(names) <= set(get_args(Split)) and len(set(names)) == len(names), "different, known splits", names)
    good = len(rows) == len(names) + 1 and rows == sorted(rows) and (rows[0], rows[-1]) == (0, sizes["T"])
    need(file, good, f"first rows of {len(names)} splits and then {sizes['T']}", rows[:10])


def _damaged(path: Path, error: Exception) -> DatasetError:
    return DatasetError(
        f"{path}: expected a whole {FORMAT} file; found {error}. Pull it again or run build-dataset again."
    )


_OTHER = {
    "compact": "Open the transitions.h5 it was exported from, or read it with storage.dataset.dense_source.DenseSource or plain h5py.",
    "dense": "Make one with storage.dataset.dense_writer.export_dense (marquee export --layout dense).",
    "encoded": "Make one with marquee encode-states.",
}


def scale_and_reward(file: h5py.File, attributes: Mapping[str, float]) -> tuple[RatingScale, RewardMap]:
    """The rating scale and the reward map that SCALE_ATTRIBUTES stand for.

    Raises:
        DatasetError: they do not describe one scale and one map.
    """
    try:
        scale = RatingScale(
            lowest=attributes["rating_lowest"], highest=attributes["rating_highest"], step=attributes["rating_step"]
        )
        reward = RewardMap(scale=attributes["reward_scale"], offset=attributes["reward_offset"])
    except ValidationError as error:
        raise DatasetError(
            f"{file.filename}: expected the attributes of a rating scale and a reward map; found {attributes}. "
            "Run build-dataset again."
        ) from error
    need(file, scale_attributes(scale, reward) == attributes, "attributes of one rating scale", attributes)
    return scale, reward
