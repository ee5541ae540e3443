"""Encoding a dataset with a policy's state encoder, and training on the states."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import h5py
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from rankings_support import small_dataset
from safetensors.torch import save_file

import tasks.encode_states
from models.batch import Batch
from models.errors import LearnerError, PolicyError
from models.histories import Histories
from models.learners.actor import ActorLearner
from models.learners.config import LearnerConfig
from models.learners.ranking_config import RankingConfig
from models.learners.td3 import TD3Config
from models.learners.td3_bc import TD3BCConfig
from models.policy import Policy
from models.windows import HistoryEncoder, StateConfig, latest
from serving.stored_policies import load_policy, stored_encoder
from storage.artifacts.manifest import Recipe
from storage.artifacts.store import ArtifactRef
from storage.dataset.encoded import EncodedDataset
from storage.dataset.reader import TransitionDataset
from storage.errors import ArtifactError, DatasetError
from tasks.caching import artifact_store
from tasks.encode_states import encode_states, states_of
from tasks.learning import make_learning, observing

STATE = StateConfig(kind="gru", width=6, length=7)
RECURRENT = TD3BCConfig(hidden_dim=8, state=STATE)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MARQUEE_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(tasks.encode_states, "Progress", lambda *_: SimpleNamespace(show=lambda *_: None))


def recipe(kind: str, **inputs: ArtifactRef) -> Recipe:
    known = {name: ref.name_as_input for name, ref in inputs.items()}
    return Recipe(kind=kind, schema_version=1, parameters={}, inputs=known, code="")


def made_dataset(items: int = 60) -> ArtifactRef:
    with artifact_store().create(
        recipe("dataset") if items == 60 else recipe("dataset").model_copy(update={"code": "x"})
    ) as draft:
        data = small_dataset(draft.path / "transitions.h5", items=items)
        vectors = pa.FixedSizeListArray.from_arrays(pa.array(data.embedding.numpy().reshape(-1)), 8)
        pq.write_table(pa.table({"movie_id": data.movie_ids, "embedding": vectors}), draft.path / "items.parquet")
    return draft.committed


def opened(ref: ArtifactRef) -> TransitionDataset:
    return TransitionDataset.open(artifact_store().open(ref) / "transitions.h5")


def made_policy(dataset: ArtifactRef, config: LearnerConfig) -> ArtifactRef:
    policy = make_learning(config, opened(dataset), 16, "cosine", "cpu", 1).policy
    with artifact_store().create(recipe("policy", dataset=dataset)) as draft:
        save_file(policy.tensors(), draft.path / "policy.safetensors")
        (draft.path / "config.json").write_text(json.dumps(policy.config()))
        (draft.path / "items.parquet").write_bytes((artifact_store().open(dataset) / "items.parquet").read_bytes())
    return draft.committed


def made_states(dataset: ArtifactRef, policy: ArtifactRef) -> ArtifactRef:
    fill: Any = encode_states.__wrapped__  # type: ignore[attr-defined]
    with artifact_store().create(recipe("states", dataset=dataset, policy=policy), [dataset, policy]) as draft:
        fill(draft, dataset, policy, "cpu")
    return draft.committed


@pytest.fixture
def dataset() -> ArtifactRef:
    return made_dataset()


@pytest.fixture
def states(dataset: ArtifactRef) -> Path:
    return artifact_store().open(made_states(dataset, made_policy(dataset, RECURRENT)))


@pytest.mark.parametrize("n", [1, 3])
def test_the_states_are_those_that_the_policy_acts_in(dataset: ArtifactRef, states: Path, n: int) -> None:
    data, encoder = opened(dataset), stored_encoder(states)
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
    data = opened(dataset)
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
    data, encoder = opened(dataset), stored_encoder(states)
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
    for name, part in learner.parts().items():
        for module in part.modules() if isinstance(part, torch.nn.Module) else ():
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
        stored_encoder(artifact_store().open(made_policy(made_dataset(items=61), TD3Config(hidden_dim=8))))
    elsewhere = made_dataset(items=61)
    with pytest.raises(ArtifactError, match="expected states of dataset"):
        states_of(elsewhere, "latest")
    with pytest.raises(PolicyError, match="trained on the items of dataset"):
        made_states(elsewhere, made_policy(dataset, RECURRENT))
    with pytest.raises(DatasetError, match=r"the (transitions|rewards) of this dataset"):
        EncodedDataset(states / "transitions.h5", opened(elsewhere))
    assert load_policy(states, opened(dataset).embedding).config()["state"]["width"] == STATE.width
