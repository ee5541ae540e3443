"""Training that begins from the policy of the dataset that was extended."""

import logging

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from small_artifacts_support import made_dataset, untrained_policy
from unit.models.ranking_support import settings_of

from models.errors import PolicyError
from models.learners.config import LearnerConfig
from models.learners.discrete_bcq import DiscreteBCQ
from models.learners.ranking import Ranking
from models.learners.ranking_config import RankingConfig
from models.learners.registry import LEARNERS
from models.learners.resumable import Resumable
from models.learners.td3 import TD3Config
from storage.artifacts.store import ArtifactRef
from tasks.caching import artifact_store
from tasks.datasets import open_dataset
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


def grown_from(base: ArtifactRef) -> ArtifactRef:
    """The dataset that another one of 60 items grew to by items with smaller and larger ids."""
    return made_dataset({"base": base.digest}, items=65, first_id=998)


def learning_on(ref: ArtifactRef, config: LearnerConfig) -> Learning:
    return make_learning(config, open_dataset(ref), 16, "cosine", "cpu", 0)


def weights(ref: ArtifactRef) -> dict[str, torch.Tensor]:
    return load_file(artifact_store().open(ref) / "policy.safetensors")


@pytest.mark.parametrize("name", LEARNERS)
def test_a_learner_begins_with_the_stored_weights_of_the_earlier_one(name: str) -> None:
    of_transitions = LEARNERS[name].learns_from == "transitions"
    config = LEARNERS[name].config.model_validate({"hidden_dim": 8}) if of_transitions else settings_of(name)
    base = made_dataset(items=60)
    earlier, grown = untrained_policy(base, config), grown_from(base)
    learning = learning_on(grown, config)
    start_from(earlier, learning, open_dataset(grown))
    is_old = torch.from_numpy(np.isin(open_dataset(grown).movie_ids, open_dataset(base).movie_ids))
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
    base = made_dataset(items=60)
    earlier, grown = untrained_policy(base, RANKING), grown_from(base)
    learning = learning_on(grown, RANKING)
    cold, learner = learning_on(grown, RANKING).learner, learning.learner
    assert isinstance(learner, Ranking)
    assert isinstance(cold, Ranking)
    is_old = torch.from_numpy(np.isin(open_dataset(grown).movie_ids, open_dataset(base).movie_ids))
    assert int(is_old.sum()) == 60
    start_from(earlier, learning, open_dataset(grown))
    stored = weights(earlier)
    for network in (learner.policy, learner.target_policy):
        for name, value in network.state_dict().items():
            torch.testing.assert_close(value[is_old] if name == "free" else value, stored[name], rtol=0, atol=0)
        assert torch.equal(network.free[~is_old], cold.policy.free[~is_old])


@pytest.mark.parametrize("config", [TD3_SMALL, RANKING], ids=["td3", "ranking"])
def test_a_policy_of_another_shape_or_kind_is_refused(config: LearnerConfig) -> None:
    base = made_dataset(items=60)
    wider = untrained_policy(base, TD3Config(hidden_dim=9))
    with pytest.raises(PolicyError, match="expected weights that fit"):
        start_from(wider, learning_on(base, config), open_dataset(base))


def test_the_newest_own_policy_that_fits_is_chosen(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "marquee.train")
    base = made_dataset(items=60)
    grown = grown_from(base)

    def reason_for_new_weights() -> str:
        caplog.clear()
        assert earlier_policy(grown, TD3_SMALL, 3) is None
        (reason,) = [one.getMessage() for one in caplog.records if one.name == "marquee.train"]
        return reason

    assert earlier_policy(base, TD3_SMALL, 1) is None
    assert f"td3 starts from new weights: dataset/{base.digest} extends no other dataset." in caplog.text
    untrained_policy(base, TD3Config(hidden_dim=9))
    untrained_policy(base, RANKING)
    untrained_policy(grown, TD3_SMALL)
    untrained_policy(base, TD3_SMALL, store=artifact_store().foreign("s3://others/bucket"))
    assert (
        f"no policy with these hyper-parameters was trained here on dataset/{base.digest}" in reason_for_new_weights()
    )
    old, new = untrained_policy(base, TD3_SMALL, seed=1), untrained_policy(base, TD3_SMALL, seed=2)
    assert earlier_policy(grown, TD3_SMALL, 3) == new
    assert earlier_policy(grown, TD3_SMALL, 1) == old
    (artifact_store().open(new) / "config.json").write_text("{}")
    assert earlier_policy(grown, TD3_SMALL, 3) == old
    (artifact_store().open(old) / "policy.safetensors").unlink()
    assert f"policy/{old.digest} is damaged" in reason_for_new_weights()
