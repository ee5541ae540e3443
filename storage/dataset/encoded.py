"""The layout `encoded`: transitions whose observations are states of a state encoder, H numbers each.

The members are those of the layout `dense`, so that readers of that one read it too.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from storage.dataset.arrays import all_finite
from storage.dataset.dense_writer import BLOCK_ROWS, chunk_rows
from storage.dataset.format import ATTRIBUTES_OF, DENSE, FORMAT, PROVENANCE, Split, opened, scale_attributes
from storage.dataset.histories import rows_of
from storage.dataset.new_file import new_file
from storage.dataset.reader import TransitionDataset
from storage.dataset.structure import attributes_of, need, set_attributes
from storage.dataset.writer import read_back
from storage.errors import DatasetError
from storage.files import replacing, writing_to

USERS_AT_ONCE = 64


def write_encoded(
    out: Path,
    data: TransitionDataset,
    encode: Callable[[Tensor, Tensor], Tensor],
    width: int,
    length: int,
    splits: Sequence[Split],
    provenance: Mapping[str, str],
    progress: Callable[[int, int], object] = lambda done, total: None,
) -> dict[str, Any]:
    """Write the transitions of some splits, one split after another, each in the order of `TransitionDataset.starts`.

    Args:
        out: the file to make, or to replace; it appears whole or not at all.
        data: the dataset.
        encode: items (B, L) int64 and rewards (B, L), padded on the left with -1 and 0 → states (B, H) float32.
        width: H.
        length: most events before a state, L.
        splits: names; attribute `split_rows` says where each begins.
        provenance: digests of what the states were made of, by name.
        progress: called with the rows written and the rows in all.

    Returns: rows in all and per split, and H.

    Raises:
        DatasetError: the splits hold no transition.
    """
    runs = {split: data.head.runs(split, data.timely) for split in splits}
    rows = {split: int(number.sum()) for split, (_, number) in runs.items()}
    total = sum(rows.values())
    if not total:
        raise DatasetError(
            f"{data.path}: expected transitions in the splits {list(splits)}; found none. Name other splits."
        )
    shapes = {"observations": (width,), "actions": (data.dim,), "next_observations": (width,)}
    with writing_to(out.parent), replacing(out) as temporary:
        with new_file(temporary) as file:
            members = {
                name: _member(file, name, total, shapes.get(name, ()), np.dtype(declared.dtypes[0]))
                for name, declared in DENSE.items()
            }
            done = 0
            for first, number in runs.values():
                here = np.flatnonzero(number)
                for users in np.array_split(here, -(-len(here) // USERS_AT_ONCE) or 1):
                    block = _transitions(data, encode, length, first[users], number[users])
                    for name, values in block.items():
                        members[name][done : done + len(values)] = values
                    done += int(number[users].sum())
                    progress(done, total)
            set_attributes(file, {f"provenance_{name}": digest for name, digest in provenance.items()})
            set_attributes(file, scale_attributes(data.scale, data.reward))
            cut = data.head.time_cut
            set_attributes(file, {"frame": data.frame, "dim": data.dim, "width": width, "time_cut": cut})
            set_attributes(file, {"splits": ",".join(splits), "split_rows": np.cumsum([0, *rows.values()])})
            set_attributes(file, {"layout": "encoded", "format": FORMAT})  # last: a file without them was not finished
        read_back(temporary, DENSE)
    return {"rows": total, "rows_by_split": rows, "width": width}


def _member(file: h5py.File, name: str, total: int, shape: tuple[int, ...], kind: np.dtype[Any]) -> h5py.Dataset:
    chunk = min(total, BLOCK_ROWS, chunk_rows(int(np.prod(shape)) * kind.itemsize))
    return file.create_dataset(name, (total, *shape), kind, chunks=(chunk, *shape), fletcher32=True, track_times=False)


def _transitions(
    data: TransitionDataset,
    encode: Callable[[Tensor, Tensor], Tensor],
    length: int,
    first: NDArray[np.int64],
    number: NDArray[np.int64],
) -> dict[str, NDArray[Any]]:
    """The members' rows of runs of transitions: a run of n transitions has n + 1 states."""
    starts = torch.from_numpy(rows_of(first, number + 1)).to(data.item.device)
    begin, end = data.offset[data.users_of(starts)], starts + data.frame
    states = torch.cat(
        [
            encode(*data.events_between(part_begin, part_end, length))
            for part_begin, part_end in zip(begin.split(BLOCK_ROWS), end.split(BLOCK_ROWS), strict=True)
        ]
    ).cpu()
    last = torch.zeros(len(starts), dtype=torch.bool)
    last[torch.from_numpy(np.cumsum(number + 1) - 1)] = True
    begins = starts[~last.to(starts.device)]
    terminal = (begins + data.frame + 1 == data.offset[data.users_of(begins) + 1]).cpu()
    ends = last.roll(-1)[~last]  # the last transition of each run
    return {
        "observations": states[~last].numpy(),
        "actions": data.embedding[data.target_items(begins)].cpu().numpy(),
        "rewards": data.target_rewards(begins).cpu().numpy(),
        "next_observations": states[~last.roll(1)].numpy(),
        "terminals": terminal.numpy(),
        "timeouts": (ends & ~terminal).numpy(),
    }


class EncodedDataset:
    """Transitions of a dataset with encoded states for observations, in memory; named by their starts, as in the dataset.

    Attributes:
        encoded: True, as observations are states.
        frame: F.
        embedding: (I, D) float32 tensor.
        width: H.
    """

    encoded = True

    def __init__(self, path: Path, data: TransitionDataset) -> None:
        """Read a file.

        Args:
            path: of layout `encoded`.
            data: the dataset that it was made from.

        Raises:
            DatasetError: the file is not valid, or was made from another dataset.
        """
        self.data, self.frame, self.embedding = data, data.frame, data.embedding
        with opened(path, "encoded") as file:
            known = attributes_of(file, ATTRIBUTES_OF["encoded"], PROVENANCE)
            self.width, bounds = known["width"], known["split_rows"]
            starts = [data.starts(name) for name in known["splits"].split(",")]
            found = [known["dim"], *np.diff(bounds).tolist()]
            need(file, found == [data.dim, *map(len, starts)], "the transitions of this dataset", "others")
            same = torch.from_numpy(file["rewards"][...]).equal(data.target_rewards(torch.cat(starts)).cpu())
            need(file, same, "the rewards of this dataset", "others")
            states = [file[name][...] for name in ("observations", "next_observations")]
            need(file, all(map(all_finite, states)), "finite states", "NaN or infinity")
        self.observations, self.next_observations = (torch.from_numpy(part).to(data.item.device) for part in states)
        self.row = torch.full(data.item.shape, -1, device=data.item.device)
        self.row[torch.cat(starts)] = torch.arange(bounds[-1], device=data.item.device)

    def gather(self, starts: Tensor, out: Any = None) -> tuple[Tensor, ...]:
        """The transitions at `starts` (B,): observation (B, H), action (B, D), reward, next observation, terminal."""
        return self.gather_n_step(starts, 1, 1.0)[:5]

    def gather_n_step(self, starts: Tensor, n: int, discount: float, out: Any = None) -> tuple[Tensor, ...]:
        """Transitions of up to n steps from `starts` (B,), as `TransitionDataset.gather_n_step`.

        Raises:
            DatasetError: a transition is not in the file's splits.
        """
        data = self.data
        starts = starts.to(data.item.device)
        steps = data.steps_left(starts).clamp_max(n)
        last = starts + steps - 1
        rows, last_rows = self.row[starts], self.row[last]
        if bool((torch.minimum(rows, last_rows) < 0).any()):
            raise DatasetError(
                "starts: expected transitions of the encoded splits; found others. Encode their split too."
            )
        return (
            self.observations[rows],
            data.embedding[data.target_items(starts)],
            data.rewards_ahead(starts, steps, n, discount),
            self.next_observations[last_rows],
            (last + data.frame + 1 == data.offset[data.users_of(last) + 1]).float(),
            discount**steps,
        )

    def windows(self, starts: Tensor, length: int, n: int, discount: float, shift: Tensor) -> tuple[Tensor, ...]:
        """Those of the dataset, whose events are not encoded."""
        return self.data.windows(starts, length, n, discount, shift)

    def sequences(self, starts: Tensor, length: int) -> tuple[Tensor, Tensor, Tensor]:
        """Those of the dataset."""
        return self.data.sequences(starts, length)
