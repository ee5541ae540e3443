"""Training that begins from the policy of the dataset that was extended."""

import json
import logging
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from rankings_support import small_dataset
from safetensors.torch import load_file, save_file
from unit.models.ranking_support import settings_of

from models.errors import PolicyError
from models.learners.config import LearnerConfig
from models.learners.discrete_bcq import DiscreteBCQ
from models.learners.ranking import Ranking
from models.learners.ranking_config import RankingConfig
from models.learners.registry import LEARNERS
from models.learners.resumable import Resumable
from models.learners.td3 import TD3Config
from storage.artifacts.manifest import Recipe
from storage.artifacts.store import ArtifactRef, ArtifactStore
from storage.dataset.reader import TransitionDataset
from tasks.caching import artifact_store
from tasks.learning import Learning, make_learning
from tasks.warm_start import earlier_policy, start_from

TD3_SMALL = TD3Config(hidden_dim=8)
RANKING = RankingConfig.model_validate(
    {
        "policy": {"width": 8, "length": 6, "frame": 3, "critic_width": 8, "embeddings": False},
        "kernel": {"min_count": 1},
        "negatives": 10,
    }
)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MARQUEE_HOME", str(tmp_path / "home"))


def dataset(items: int, base: ArtifactRef | None = None) -> ArtifactRef:
    """A dataset of some items, or the one that it grew to by items with smaller and larger ids."""
    inputs = {"base": base.digest} if base else {}
    recipe = Recipe(kind="dataset", schema_version=1, parameters={"items": items}, inputs=inputs, code="")
    with artifact_store().create(recipe) as draft:
        data = small_dataset(draft.path / "transitions.h5", items=items, first_id=998 if base else 1000)
        vectors = pa.FixedSizeListArray.from_arrays(pa.array(data.embedding.numpy().reshape(-1)), 8)
        pq.write_table(pa.table({"movie_id": data.movie_ids, "embedding": vectors}), draft.path / "items.parquet")
    return draft.committed


def opened(ref: ArtifactRef) -> TransitionDataset:
    return TransitionDataset.open(artifact_store().open(ref) / "transitions.h5")


def learning_on(ref: ArtifactRef, config: LearnerConfig, seed: int = 0) -> Learning:
    return make_learning(config, opened(ref), 16, "cosine", "cpu", seed)


def policy(on: ArtifactRef, config: LearnerConfig, seed: int = 1, store: ArtifactStore | None = None) -> ArtifactRef:
    """The untrained policy of a learner, as an artifact; its weights depend on the seed."""
    parameters = {"config": config.model_dump(mode="json"), "seed": seed}
    recipe = Recipe(kind="policy", schema_version=1, parameters=parameters, inputs={"dataset": on.digest}, code="")
    made = learning_on(on, config, seed).policy
    with (store or artifact_store()).create(recipe) as draft:
        save_file(made.tensors(), draft.path / "policy.safetensors")
        (draft.path / "config.json").write_text(json.dumps(made.config()))
        (draft.path / "items.parquet").write_bytes((artifact_store().open(on) / "items.parquet").read_bytes())
    return draft.committed


def weights(ref: ArtifactRef) -> dict[str, torch.Tensor]:
    return load_file(artifact_store().open(ref) / "policy.safetensors")


@pytest.mark.parametrize("name", LEARNERS)
def test_a_learner_begins_with_the_stored_weights_of_the_earlier_one(name: str) -> None:
    of_transitions = LEARNERS[name].learns_from == "transitions"
    config = LEARNERS[name].config.model_validate({"hidden_dim": 8}) if of_transitions else settings_of(name)
    base = dataset(items=60)
    earlier, grown = policy(base, config), dataset(items=65, base=base)
    learning = learning_on(grown, config)
    start_from(earlier, learning, opened(grown))
    is_old = torch.from_numpy(np.isin(opened(grown).movie_ids, opened(base).movie_ids))
    found = learning.policy.tensors()
    for tensor, value in weights(earlier).items():
        if "fitted." not in tensor:  # which is fitted to the dataset, not trained
            now = found[tensor] if found[tensor].shape == value.shape else found[tensor][is_old]
            torch.testing.assert_close(now, value, rtol=0, atol=0, msg=tensor)
    assert isinstance(learning.learner, Resumable)
    state = learning.learner.state_dict()
    followed = {part: part.removeprefix("target_") for part in state if part.startswith("target_")}
    for target, network in followed.items():
        torch.testing.assert_close(dict(state[target]), dict(state[network]), rtol=0, atol=0)
    if isinstance(learning.learner, DiscreteBCQ):
        torch.testing.assert_close(dict(state["target"]), dict(learning.learner.constrained.state_dict()))


def test_old_items_keep_their_vectors_and_new_ones_begin_as_in_a_cold_start() -> None:
    base = dataset(items=60)
    earlier, grown = policy(base, RANKING), dataset(items=65, base=base)
    learning = learning_on(grown, RANKING)
    cold, learner = learning_on(grown, RANKING).learner, learning.learner
    assert isinstance(learner, Ranking)
    assert isinstance(cold, Ranking)
    is_old = torch.from_numpy(np.isin(opened(grown).movie_ids, opened(base).movie_ids))
    assert int(is_old.sum()) == 60
    start_from(earlier, learning, opened(grown))
    stored = weights(earlier)
    for network in (learner.policy, learner.target_policy):
        for name, value in network.state_dict().items():
            torch.testing.assert_close(value[is_old] if name == "free" else value, stored[name], rtol=0, atol=0)
        assert torch.equal(network.free[~is_old], cold.policy.free[~is_old])


@pytest.mark.parametrize("config", [TD3_SMALL, RANKING], ids=["td3", "ranking"])
def test_a_policy_of_another_shape_or_kind_is_refused(config: LearnerConfig) -> None:
    base = dataset(items=60)
    wider = policy(base, TD3Config(hidden_dim=9))
    with pytest.raises(PolicyError, match="expected weights that fit"):
        start_from(wider, learning_on(base, config), opened(base))


def test_the_newest_own_policy_that_fits_is_chosen(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "marquee.train")
    base = dataset(items=60)
    grown = dataset(items=65, base=base)

    def reason_for_new_weights() -> str:
        caplog.clear()
        assert earlier_policy(grown, TD3_SMALL, 3) is None
        (reason,) = [one.getMessage() for one in caplog.records if one.name == "marquee.train"]
        return reason

    assert earlier_policy(base, TD3_SMALL, 1) is None
    assert f"td3 starts from new weights: dataset/{base.digest} extends no other dataset." in caplog.text
    policy(base, TD3Config(hidden_dim=9))
    policy(base, RANKING)
    policy(grown, TD3_SMALL)
    policy(base, TD3_SMALL, store=artifact_store().foreign("s3://others/bucket"))
    assert (
        f"no policy with these hyper-parameters was trained here on dataset/{base.digest}" in reason_for_new_weights()
    )
    old, new = policy(base, TD3_SMALL, seed=1), policy(base, TD3_SMALL, seed=2)
    assert earlier_policy(grown, TD3_SMALL, 3) == new
    assert earlier_policy(grown, TD3_SMALL, 1) == old
    (artifact_store().open(new) / "config.json").write_text("{}")
    assert earlier_policy(grown, TD3_SMALL, 3) == old
    (artifact_store().open(old) / "policy.safetensors").unlink()
    assert f"policy/{old.digest} is damaged" in reason_for_new_weights()
