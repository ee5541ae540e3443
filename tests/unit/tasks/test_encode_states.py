"""Encoding a dataset with a policy's state encoder, and training on the states."""

from pathlib import Path
from types import SimpleNamespace

import h5py
import pytest
import torch
from small_artifacts_support import filled, made_dataset, untrained_policy

import tasks.encode_states
from models.batch import Batch
from models.errors import LearnerError, PolicyError
from models.histories import Histories
from models.learners.actor import ActorLearner
from models.learners.ranking_config import RankingConfig
from models.learners.td3 import TD3Config
from models.learners.td3_bc import TD3BCConfig
from models.policy import Policy
from models.windows import HistoryEncoder, StateConfig, latest
from serving.stored_policies import load_policy, stored_encoder
from storage.artifacts.store import ArtifactRef
from storage.dataset.encoded import EncodedDataset
from storage.errors import ArtifactError, DatasetError
from tasks.caching import artifact_store
from tasks.datasets import open_dataset
from tasks.encode_states import encode_states, states_of
from tasks.learning import make_learning, observing

STATE = StateConfig(kind="gru", width=6, length=7)
RECURRENT = TD3BCConfig(hidden_dim=8, state=STATE)


@pytest.fixture(autouse=True)
def no_prefect(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks.encode_states, "Progress", lambda *_: SimpleNamespace(show=lambda *_: None))


def made_states(dataset: ArtifactRef, policy: ArtifactRef) -> ArtifactRef:
    return filled("states", encode_states, dataset, policy, "cpu")


@pytest.fixture
def dataset() -> ArtifactRef:
    return made_dataset()


@pytest.fixture
def states(dataset: ArtifactRef) -> Path:
    return artifact_store().open(made_states(dataset, untrained_policy(dataset, RECURRENT)))


@pytest.mark.parametrize("n", [1, 3])
def test_the_states_are_those_that_the_policy_acts_in(dataset: ArtifactRef, states: Path, n: int) -> None:
    data, encoder = open_dataset(dataset), stored_encoder(states)
    encoded = EncodedDataset(states / "transitions.h5", data)
    for split in ("train", "validation"):
        starts = data.starts(split)[::3]
        batch = Batch(*encoded.gather_n_step(starts, n, 0.9))
        frames = Batch(*data.gather_n_step(starts, n, 0.9))
        steps = data.steps_left(starts).clamp_max(n)
        ends = starts + data.frame
        for found, until in ((batch.observation, ends), (batch.next_observation, ends + steps)):
            seen = Histories(*data.events_between(data.offset[data.users_of(starts)], until, STATE.length))
            with torch.no_grad():
                wanted = encoder(latest(seen, STATE.length, data.embedding))
            torch.testing.assert_close(found, wanted)
        for name in ("action", "reward", "terminal", "discount"):
            assert torch.equal(getattr(batch, name), getattr(frames, name)), name
    with pytest.raises(DatasetError, match="encoded splits; found others"):
        encoded.gather(data.starts("test"))


def test_the_file_is_read_like_a_dense_one(dataset: ArtifactRef, states: Path) -> None:
    data = open_dataset(dataset)
    assert b"GCOL" not in (states / "transitions.h5").read_bytes(), "a heap without checksum"
    with h5py.File(states / "transitions.h5") as file:
        first, last = file.attrs["split_rows"][:2]
        rows = slice(first, last)
        frames = data.gather(data.starts("train"))
        assert file["observations"].shape[1] == STATE.width
        assert torch.equal(torch.from_numpy(file["actions"][rows]), frames.action)
        assert torch.equal(torch.from_numpy(file["rewards"][rows]), frames.reward)
        assert torch.equal(torch.from_numpy(file["terminals"][rows]).float(), frames.terminal)
        ended = file["terminals"][rows] | file["timeouts"][rows]
        assert ended.sum() == len(data.users_of(data.starts("train")).unique())
        same = (file["observations"][1:last] == file["next_observations"][: last - 1]).all(1)
        assert same[~ended[:-1]].all()


def test_a_policy_that_learnt_from_states_encodes_histories_itself(dataset: ArtifactRef, states: Path) -> None:
    data, encoder = open_dataset(dataset), stored_encoder(states)
    config = observing(TD3Config(hidden_dim=8, critic_candidates=5), states)
    learning = make_learning(config, data, 16, "cosine", "cpu", 2, states)
    learner = learning.learner
    assert isinstance(learner, ActorLearner)
    untrained = learner.act(learning.gather(data.starts("train")[:9]).observation)
    for step in range(4):
        batch = learning.gather_in_turn(data.starts("train")[step::30])
        assert batch.observation.shape[1] == STATE.width
        learner.update(batch)
    starts = data.starts("validation")[::9]
    acted = learning.policy.act(Histories(*data.histories(starts)))
    torch.testing.assert_close(acted, learner.act(learning.gather(starts).observation))
    assert not torch.equal(untrained, learner.act(learning.gather(data.starts("train")[:9]).observation))
    for name, network in learner.networks().items():
        for module in network.modules():
            if isinstance(module, HistoryEncoder):
                for found, wanted in zip(module.parameters(), encoder.parameters(), strict=True):
                    assert torch.equal(found, wanted), name
    again = Policy.from_tensors(learning.policy.config(), learning.policy.tensors(), data.embedding)
    probe = Histories(*data.histories(starts))
    assert torch.equal(again.scores(probe), learning.policy.scores(probe))


def test_states_and_learners_that_do_not_fit_are_refused(dataset: ArtifactRef, states: Path) -> None:
    with pytest.raises(LearnerError, match="ranking: expected a learner from transitions"):
        observing(RankingConfig(), states)
    other = RECURRENT.model_copy(update={"state": StateConfig(kind="attention", width=6)})
    with pytest.raises(LearnerError, match="found state attention"):
        observing(other, states)
    assert observing(RECURRENT, states) == RECURRENT
    with pytest.raises(PolicyError, match="actor with a state encoder; found marquee-policy/3 without one"):
        stored_encoder(artifact_store().open(untrained_policy(made_dataset(items=61), TD3Config(hidden_dim=8))))
    elsewhere = made_dataset(items=61)
    with pytest.raises(ArtifactError, match="expected states of dataset"):
        states_of(elsewhere, "latest")
    with pytest.raises(PolicyError, match="trained on the items of dataset"):
        made_states(elsewhere, untrained_policy(dataset, RECURRENT))
    with pytest.raises(DatasetError, match=r"the (transitions|rewards) of this dataset"):
        EncodedDataset(states / "transitions.h5", open_dataset(elsewhere))
    assert load_policy(states, open_dataset(dataset).embedding).config()["state"]["width"] == STATE.width
