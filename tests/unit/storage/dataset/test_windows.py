"""Windows of transitions against a loop over events."""

import tempfile
from pathlib import Path

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from unit.storage.dataset.transitions_support import written

from storage.dataset.reader import TransitionDataset


def numbered(folder: Path, lengths: list[int], time_cut: int) -> TransitionDataset:
    """A dataset in which every event has an item of its own, the number of the event."""
    data = written(folder, lengths, time_cut=time_cut)
    data.item = torch.arange(len(data.item), dtype=torch.int32)
    data.embedding = torch.randn(len(data.item), 4)
    return data


@settings(max_examples=20, deadline=None)
@given(
    lengths=st.lists(st.integers(0, 15), min_size=1, max_size=8).filter(lambda found: max(found) > 3),
    length=st.integers(1, 12),
    n=st.integers(1, 5),
    time_cut=st.integers(0, 1000),
    seed=st.integers(0, 9),
)
def test_windows_are_those_of_a_loop(lengths: list[int], length: int, n: int, time_cut: int, seed: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        data = numbered(Path(folder), lengths, time_cut)
    starts, frame = data.starts("all"), data.frame
    shift = torch.randint(0, max(1, length - frame + 1), starts.shape, generator=torch.Generator().manual_seed(seed))
    items, rewards, asked, asked_next, *rest = data.windows(starts, length, n, 0.9, shift)
    assert torch.equal(asked < 0, items < 0)
    left = data.steps_left(starts)
    expected: list[int] = []
    for row, (start, user) in enumerate(zip(starts.tolist(), data.users_of(starts).tolist(), strict=True)):
        end = start + min(int(shift[row]), int(left[row]) - 1)
        first = max(int(data.offset[user]), end + frame - length)
        own = [begin for begin in range(int(data.offset[user]), end + 1) if begin >= first or begin == end]
        expected += own
        assert start in own
        steps = data.steps_left(torch.tensor(own)).clamp_max(n).tolist()
        last = end + frame + steps[-1] - 1  # the newest event of the last next state
        events = items[row][items[row] >= 0].tolist()
        assert events == list(range(first, last + 1))
        assert items[row, -1] == last
        states = [begin + frame - 1 for begin in own]
        following = [state + m for state, m in zip(states, steps, strict=True)]
        for counts, wanted in ((asked, states), (asked_next, following)):
            found = items[row].repeat_interleave(counts[row].clamp_min(0))
            assert found.tolist() == wanted
    events_there = items >= 0
    assert torch.equal(rewards[events_there], data.rewards_of(items[events_there]))
    assert not rewards[~events_there].any()
    _, action, reward, _, terminal, weight = data.gather_n_step(torch.tensor(expected), n, 0.9)
    for part, wanted_part in zip(rest, (action, reward, terminal, weight), strict=True):
        torch.testing.assert_close(part, wanted_part)


def test_transitions_at_the_end_of_a_history_are_as_frequent_as_others(tmp_path: Path) -> None:
    """Windows that end with a start drawn at random would show the last transition once in as many windows as it holds."""
    data = numbered(tmp_path, [60], time_cut=1000)
    starts = data.starts("all")
    generator = torch.Generator().manual_seed(0)
    drawn = starts[torch.randint(len(starts), (4000,), generator=generator)]
    shift = torch.randint(0, 10, drawn.shape, generator=generator)
    items, _, asked, *_ = data.windows(drawn, 12, 1, 1.0, shift)
    counts = torch.bincount(items[asked > 0], minlength=60)[2:59]
    assert counts[-1] > 0.4 * counts.float().mean()
    assert counts[0] > 0.4 * counts.float().mean()
