"""The compiled and the pure way make the same bytes; buffers are filled where they are."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from unit.storage.dataset.transitions_support import written

from storage.dataset import gather as transitions_gather
from storage.dataset.gather import Compact, Gathered, gather, gather_compiled, gather_pure, new_batch

compiled = pytest.mark.skipif(transitions_gather._gather is None, reason="the C helper is not built")


def some_events(events: int, items: int, dim: int, dtype: torch.dtype, seed: int) -> Compact:
    generator = torch.Generator().manual_seed(seed)
    ends = torch.randperm(events - 1, generator=generator)[: events // 9] + 1
    offset = torch.cat((torch.tensor([0, 0]), ends.sort().values, torch.tensor([events, events])))
    return Compact(
        item=torch.randint(items, (events,), generator=generator, dtype=torch.int32),
        code=torch.randint(256, (events,), generator=generator, dtype=torch.uint8),
        offset=offset,
        embedding=torch.randn(items, dim, generator=generator).to(dtype),
        reward_of_code=torch.randn(256, generator=generator).to(dtype),
        flags=torch.tensor([0, 1], dtype=dtype),
    )


def bits(batch: Gathered) -> list[torch.Tensor]:
    return [part.contiguous().view(torch.int16) for part in batch]


@compiled
@settings(max_examples=60, deadline=None)
@given(
    events=st.integers(30, 400),
    dim=st.integers(1, 70),
    frame=st.integers(1, 12),
    rows=st.integers(1, 1500),
    dtype=st.sampled_from(transitions_gather.DTYPES),
    instructions=st.sampled_from(["avx512", "avx2", "portable"]),
    skip=st.sampled_from([0, 0, 1, 7]),
)
def test_compiled_and_pure_give_the_same_bits(
    events: int, dim: int, frame: int, rows: int, dtype: torch.dtype, instructions: str, skip: int
) -> None:
    compact = some_events(events, 17, dim, dtype, seed=events)
    starts = torch.randint(events - frame, (rows,), generator=torch.Generator().manual_seed(1))
    expected = gather_pure(compact, frame, starts, new_batch(rows, frame, dim, dtype))
    # A part of a larger batch begins anywhere in memory, and its neighbours must stay as they are.
    room = new_batch(rows + skip + 1, frame, dim, dtype)
    for part in room:
        part.fill_(7)
    gather_compiled(compact, frame, starts, room.rows(skip, skip + rows), instructions)
    for got, want in zip(bits(room.rows(skip, skip + rows)), bits(expected), strict=True):
        assert torch.equal(got, want)
    assert all(bool((part[:skip] == 7).all()) and bool((part[skip + rows :] == 7).all()) for part in room)


def test_terminals_are_the_ends_of_histories(tmp_path: Path) -> None:
    data = written(tmp_path, [5, 0, 3, 9])
    assert data.gather(data.starts("all")).terminal.tolist() == [0, 1, 0, 0, 0, 0, 0, 1]


@pytest.mark.parametrize("dtype", transitions_gather.DTYPES)
def test_out_and_dtype(tmp_path: Path, dtype: torch.dtype) -> None:
    data = written(tmp_path, [30] * 9)
    starts = data.starts("train")[:32]
    ring = data.ring(32, depth=2, dtype=dtype)
    buffers = next(ring)
    made = data.gather(starts, buffers)
    assert made.observation.data_ptr() == buffers.observation.data_ptr()
    again = data.gather(starts, next(ring))
    assert again.observation.data_ptr() != made.observation.data_ptr()
    assert next(ring) is buffers
    fresh = data.gather(starts, dtype=dtype)
    exact = data.gather(starts)
    for one, other, full in zip(made, fresh, exact, strict=True):
        assert torch.equal(one, other)
        assert torch.equal(one, full.to(dtype))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda batch: batch._replace(observation=batch.observation[:, ::2]),
        lambda batch: batch._replace(reward=batch.reward.double()),
        lambda batch: batch._replace(terminal=batch.terminal[:5]),
        lambda batch: batch.rows(0, 7),
    ],
)
def test_buffers_that_do_not_fit_are_refused(tmp_path: Path, spoil: Callable[[Gathered], Gathered]) -> None:
    data = written(tmp_path, [30] * 3)
    starts = data.starts("all")[:8]
    with pytest.raises(ValueError, match="gather: expected buffers"):
        data.gather(starts, spoil(new_batch(8, 3, 4, torch.float32)))


def test_starts_outside_the_events_are_refused(tmp_path: Path) -> None:
    data = written(tmp_path, [30] * 3)
    for start in (-1, 87, 10**12, 2**63 - 1):
        with pytest.raises(ValueError, match="a start outside the events"):
            data.gather(torch.tensor([start]))


def test_the_pure_way_can_be_forced() -> None:
    code = "from storage.dataset import gather; print(gather._gather)"
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | {"MARQUEE_PURE": "1"}, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "None"


def test_the_pure_way_serves_a_dataset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = written(tmp_path, [30] * 9)
    expected = bits(data.gather(data.starts("all")))
    monkeypatch.setattr(transitions_gather, "_gather", None)
    compact = data.compact()
    pure = gather(compact, data.frame, data.starts("all"), new_batch(len(data), 3, 4, torch.float32))
    assert all(torch.equal(one, other) for one, other in zip(bits(pure), expected, strict=True))
