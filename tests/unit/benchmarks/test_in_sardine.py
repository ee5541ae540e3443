"""The adapter to SARDINE, an environment by others, on a few users."""

import importlib.util
from typing import Any

import numpy as np
import pytest
from tests_support import REPOSITORY

from models.environments.controls import of_policy, random_items

spec = importlib.util.spec_from_file_location("in_sardine", REPOSITORY / "benchmarks" / "in_sardine.py")
assert spec is not None
assert spec.loader is not None
in_sardine: Any = importlib.util.module_from_spec(spec)
spec.loader.exec_module(in_sardine)
FRAME, PROBLEM, USERS = in_sardine.FRAME, in_sardine.SardineProblem(), np.arange(8)


def test_a_return_is_what_sardine_itself_paid() -> None:
    """The same items given to SARDINE directly give the same clicks."""
    episodes = in_sardine.rolled_out(random_items(0), PROBLEM, USERS[:2])
    direct = in_sardine.new_environment()
    direct.reset(seed=0)
    items = episodes.items[0][episodes.items[0] >= 0]
    paid = [direct.step(np.array([item]))[1] for item in items[1:]]
    assert paid == episodes.rewards[0][-len(paid) :].tolist()
    assert len(set(items.tolist())) == len(items) == 1 + direct.H
    assert in_sardine.returns_of(random_items(0), PROBLEM, USERS[:2])[0] == sum(paid[FRAME - 1 :])


def test_greedy_is_bored_half_of_the_time_and_beats_chance() -> None:
    """5 clicks on a topic, then 5 steps without interest in anything, is the fate that SARDINE has for greedy rankers."""
    greedily, alike, randomly = (
        in_sardine.returns_of(one, PROBLEM, USERS).mean()
        for one in (in_sardine.greedy, in_sardine.like_clicked, random_items(0))
    )
    assert randomly < 15
    assert 20 < alike < greedily
    assert 40 < greedily < 60


def test_transitions_are_windows_of_the_log() -> None:
    log = in_sardine.rolled_out(in_sardine.half_greedy(0), PROBLEM, USERS[:2])
    batch = in_sardine.transitions_of(log)
    length = 1 + log.environments[0].H
    assert len(batch.reward) == 2 * (length - FRAME)
    embedding = PROBLEM.view.embedding
    assert np.array_equal(batch.action[0].numpy(), embedding[log.items[0, -length + FRAME]])
    assert batch.reward[: length - FRAME].tolist() == log.rewards[0, -length + FRAME :].tolist()
    assert np.array_equal(batch.observation[1], batch.next_observation[0])
    assert np.array_equal(
        batch.observation[0, : FRAME * 10].numpy(), embedding[log.items[0, -length : -length + FRAME]].ravel()
    )
    assert batch.terminal.nonzero().flatten().tolist() == [length - FRAME - 1, 2 * (length - FRAME) - 1]


def test_learners_of_this_project_act_in_sardine_unchanged() -> None:
    log = in_sardine.transitions_of(in_sardine.rolled_out(in_sardine.half_greedy(0), PROBLEM, USERS))
    offline = of_policy(in_sardine.learnt_offline(log, PROBLEM, updates=2))
    assert in_sardine.returns_of(offline, PROBLEM, USERS[:2]).shape == (2,)
    pytest.importorskip("stable_baselines3")
    online = in_sardine.learnt_online(PROBLEM, 2048, lambda _: 0.0)
    assert in_sardine.returns_of(of_policy(online), PROBLEM, USERS[:2]).shape == (2,)
