"""Batches hold what the events say, in the buffers given; sizes and starts that do not fit are refused."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from unit.storage.dataset.transitions_support import written

from storage.dataset import gather as transitions_gather
from storage.dataset.gather import Compact, TransitionBatch, gather, new_batch


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
    )


def one_transition(compact: Compact, frame: int, start: int) -> list[torch.Tensor]:
    """The members of a batch's row, by the definition of a transition."""
    window = range(start, start + frame + 1)
    embedded = [compact.embedding[compact.item[event]] for event in window]
    reward = torch.stack([compact.reward_of_code[int(compact.code[event])] for event in window])
    terminal = torch.tensor(start + frame + 1 in compact.offset.tolist(), dtype=reward.dtype)
    return [
        torch.cat([*embedded[:-1], reward[:-1]]), embedded[-1], reward[-1], torch.cat([*embedded[1:], reward[1:]]), terminal,
    ]  # fmt: skip


@settings(max_examples=40, deadline=None)
@given(
    events=st.integers(30, 400),
    dim=st.integers(1, 9),
    frame=st.integers(1, 12),
    rows=st.integers(1, 40),
    dtype=st.sampled_from(transitions_gather.DTYPES),
    skip=st.sampled_from([0, 0, 1, 7]),
    block=st.sampled_from([1, 7, 512]),
)
@example(events=400, dim=3, frame=2, rows=1100, dtype=torch.float32, skip=0, block=512)
def test_a_batch_holds_the_transitions(
    events: int, dim: int, frame: int, rows: int, dtype: torch.dtype, skip: int, block: int
) -> None:
    compact = some_events(events, 17, dim, dtype, seed=events)
    starts = torch.randint(events - frame, (rows,), generator=torch.Generator().manual_seed(1))
    # A part of a larger batch begins anywhere in memory, and its neighbours must stay as they are.
    room = new_batch(rows + skip + 1, frame, dim, dtype)
    for part in room:
        part.fill_(7)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(transitions_gather, "BLOCK_ROWS", block)
        gather(compact, frame, starts, room.rows(skip, skip + rows))
    expected = [one_transition(compact, frame, start) for start in starts.tolist()]
    for got, want in zip(room.rows(skip, skip + rows), zip(*expected, strict=True), strict=True):
        assert torch.equal(got, torch.stack(want))
    assert all(bool((part[:skip] == 7).all()) and bool((part[skip + rows :] == 7).all()) for part in room)


def test_terminals_are_the_ends_of_histories(tmp_path: Path) -> None:
    data = written(tmp_path, [5, 0, 3, 9])
    assert data.gather(data.starts("all")).terminal.tolist() == [0, 1, 0, 0, 0, 0, 0, 1]


def test_no_starts_give_an_empty_batch(tmp_path: Path) -> None:
    data = written(tmp_path, [30] * 3)
    assert data.gather(torch.zeros(0, dtype=torch.int64)).observation.shape == (0, data.observation_dim)


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
def test_buffers_that_do_not_fit_are_refused(
    tmp_path: Path, spoil: Callable[[TransitionBatch], TransitionBatch]
) -> None:
    data = written(tmp_path, [30] * 3)
    starts = data.starts("all")[:8]
    with pytest.raises(ValueError, match="gather: expected buffers"):
        data.gather(starts, spoil(new_batch(8, 3, 4, torch.float32)))


def test_starts_outside_the_events_are_refused(tmp_path: Path) -> None:
    data = written(tmp_path, [30] * 3)
    for start in (-1, 87, 10**12, 2**63 - 1):
        with pytest.raises(ValueError, match="a start outside the events"):
            data.gather(torch.tensor([start]))
