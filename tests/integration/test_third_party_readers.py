"""Others read the dense file without a line of ours."""

from pathlib import Path

import h5py
import numpy as np
import pytest
from unit.storage.dataset.transitions_support import written

from storage.dataset.dense_writer import export_dense
from storage.dataset.reader import TransitionDataset

D4RL_KEYS = ("observations", "actions", "rewards", "next_observations", "terminals", "timeouts")


@pytest.fixture
def exported(tmp_path: Path) -> tuple[TransitionDataset, dict[str, np.ndarray]]:
    data = written(tmp_path, [30, 8, 12, 3, 0, 40, 25, 9, 4, 60], time_cut=700)
    export_dense(data.path, tmp_path / "dense.h5", splits=("train",))
    with h5py.File(tmp_path / "dense.h5") as file:
        return data, {name: file[name][...] for name in D4RL_KEYS}


def test_plain_h5py_reads_what_d4rl_names(exported: tuple[TransitionDataset, dict[str, np.ndarray]]) -> None:
    data, arrays = exported
    assert len({len(values) for values in arrays.values()}) == 1
    for name, part in zip(D4RL_KEYS, data.gather(data.starts("train")), strict=False):
        np.testing.assert_array_equal(arrays[name].astype(np.float32), part.numpy(), err_msg=name)
    assert all(np.isfinite(arrays[name]).all() for name in D4RL_KEYS[:4])
    # Within an episode the next observation is the next row's observation, as D4RL's own code relies on.
    inner = ~(arrays["terminals"] | arrays["timeouts"])[:-1]
    np.testing.assert_array_equal(arrays["next_observations"][:-1][inner], arrays["observations"][1:][inner])


def test_d3rlpy_builds_its_dataset(exported: tuple[TransitionDataset, dict[str, np.ndarray]]) -> None:
    import d3rlpy

    data, arrays = exported
    made = d3rlpy.dataset.MDPDataset(
        *(arrays[name] for name in ("observations", "actions", "rewards", "terminals", "timeouts"))
    )
    users = np.unique(data.users_of(data.starts("train")).numpy(), return_counts=True)[1]
    assert [len(episode) for episode in made.episodes] == users.tolist()
    # d3rlpy takes the next observation from the next row: of an episode cut short it cannot use the last one.
    assert made.transition_count == len(data.starts("train")) - arrays["timeouts"].sum()
    assert [episode.terminated for episode in made.episodes] == [
        bool(arrays["terminals"][end - 1]) for end in np.cumsum(users)
    ]
    returns = sum(episode.compute_return() for episode in made.episodes)
    assert np.isclose(returns, data.target_rewards(data.starts("train")).sum())
    batch = made.sample_transition_batch(8)
    assert batch.observations.shape == (8, data.observation_dim)
    assert np.isfinite(batch.observations).all()
