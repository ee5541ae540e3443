"""Learners whose networks have state encoders."""

from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from rankings_support import small_dataset
from torch import Tensor

from models.batch import Batch
from models.errors import PolicyError
from models.histories import Histories
from models.learners.actor import ActorLearner
from models.learners.actor_critic import TargetActorCritic
from models.learners.config import ActorConfig
from models.learners.registry import LEARNERS, TRANSITION_LEARNERS, make_learner
from models.policy import Policy
from models.ranker_training import train_ranker
from models.ranking_network import RankerConfig
from models.space import Space
from models.windows import HistoryEncoder, StateConfig, events_of, latest
from storage.dataset.reader import TransitionDataset

LENGTH, WIDTH = 8, 6
encoders = pytest.mark.parametrize("kind", ["gru", "attention"])


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> TransitionDataset:
    return small_dataset(tmp_path_factory.mktemp("data") / "t.h5")


def config_of(name: str, kind: str, **changes: Any) -> ActorConfig:
    values = {"hidden_dim": 8, "state": {"kind": kind, "width": WIDTH, "length": LENGTH}} | changes
    fields = LEARNERS[name].config.model_fields
    made = LEARNERS[name].config.model_validate({key: value for key, value in values.items() if key in fields})
    assert isinstance(made, ActorConfig)
    return made


def learner_on(data: TransitionDataset, config: ActorConfig) -> ActorLearner:
    return make_learner(config, Space.of(data.embedding, data.frame, data.reward_bounds), "cpu", 0)


def histories_of(data: TransitionDataset, starts: Tensor) -> Histories:
    return Histories(*data.histories(starts))


@encoders
def test_a_policy_acts_in_the_states_that_its_actor_learns_in(data: TransitionDataset, kind: str) -> None:
    learner = learner_on(data, config_of("td3", kind))
    starts = data.starts("all")[::7]
    items, rewards, asked, *_ = data.windows(starts, LENGTH, 1, 1.0, torch.zeros_like(starts))
    windows = torch.cat((events_of(items, rewards, data.embedding), asked.float().unsqueeze(-1)), -1)
    # Each window ends with the next state's event: without it the window is what the policy sees.
    of_windows = learner.act(windows[:, :-1])[asked.clamp_min(0).sum(1).cumsum(0) - 1]
    policy = learner.recommender(data.embedding, "cosine")
    torch.testing.assert_close(policy.act(histories_of(data, starts)), of_windows)


@encoders
def test_a_state_depends_on_the_latest_events_alone(data: TransitionDataset, kind: str) -> None:
    policy = learner_on(data, config_of("td3", kind)).recommender(data.embedding, "cosine")
    whole = histories_of(data, data.starts("all")[::11])
    torch.testing.assert_close(policy.scores(whole), policy.scores(whole.last(LENGTH)))
    changed = whole.items.clone()
    changed[:, -LENGTH] = (changed[:, -LENGTH] + 1) % len(data.embedding)
    assert not torch.equal(policy.act(whole), policy.act(Histories(changed, whole.rewards)))
    short = Histories(torch.tensor([[-1, -1, 5]]), torch.tensor([[0.0, 0.0, 2.0]]))  # fewer events than a frame has
    torch.testing.assert_close(policy.act(short), policy.act(short.last(1)))


@pytest.mark.parametrize(
    ("name", "kind"), [*((name, "gru") for name in TRANSITION_LEARNERS), ("td3", "attention"), ("bcq", "attention")]
)
def test_every_learner_learns_in_encoded_states_and_its_policy_is_stored(
    data: TransitionDataset, name: str, kind: str
) -> None:
    rates = {"actor_learning_rate": 1e-2, "critic_learning_rate": 1e-2, "target_rate": 0.5}
    learner = learner_on(data, config_of(name, kind, critic_candidates=5, n_step=2, imitation_steps=1, **rates))
    networks = learner.networks()
    before = {key: {k: v.clone() for k, v in part.state_dict().items()} for key, part in networks.items()}
    for step in range(2):
        metrics = learner.update(learner.gather(data, data.starts("train")[step::40]))
    assert all(torch.isfinite(value) for value in metrics.values())
    found = learner.compare(learner.gather(data, data.starts("validation")[:4]))
    assert found.actions.shape == found.logged.shape
    for key, part in networks.items():
        encoders = [k for k in part.state_dict() if "state_encoder" in k]
        assert encoders or key in ("log_std", "temperature")
        assert not [k for k in encoders if torch.equal(part.state_dict()[k], before[key][k])], key
    policy = learner.recommender(data.embedding, "cosine")
    assert isinstance(policy, Policy)
    again = type(policy).from_tensors(policy.config(), policy.tensors(), data.embedding)
    probe = histories_of(data, data.starts("validation")[::9])
    assert torch.equal(policy.scores(probe), again.scores(probe))


def test_a_ranking_network_sees_the_actors_states(data: TransitionDataset) -> None:
    policy = learner_on(data, config_of("td3", "gru")).recommender(data.embedding, "cosine")
    starts = data.starts("train")[:40]
    train_ranker(
        policy, RankerConfig(candidates=20, steps=2), lambda: (histories_of(data, starts), data.target_items(starts)), 0
    )
    again = Policy.from_tensors(policy.config(), policy.tensors(), data.embedding)
    probe = histories_of(data, data.starts("validation")[::9])
    assert torch.equal(policy.scores(probe), again.scores(probe))
    policy.ranker, policy.candidates = None, 0
    assert not torch.equal(policy.scores(probe), again.scores(probe))


def test_each_loss_trains_the_encoder_of_its_own_network(data: TransitionDataset) -> None:
    learner = learner_on(data, config_of("td3", "gru"))
    assert isinstance(learner, TargetActorCritic)
    batch = learner.gather(data, data.starts("train")[::40])
    learner.critic_loss(batch, learner.target(batch).detach())[0].backward()
    assert all(part.grad is not None for part in learner.critics.state_encoder.parameters())
    assert all(part.grad is None for part in learner.policy.parameters())
    learner.critics.zero_grad(set_to_none=True)
    loss, _ = learner.actor_loss(batch)
    gradients = torch.autograd.grad(loss, list(learner.policy.parameters()))
    assert all(gradient.abs().sum() > 0 for gradient in gradients)


def test_an_encoder_remembers_what_a_frame_does_not_show() -> None:
    """The first of five events says which item comes next; a frame shows the latest two."""
    embedding, errors = torch.eye(4), {}
    for kind in ("frame", "gru", "attention"):
        state = {"kind": kind, "width": 12, "length": 5}
        config = config_of("policy_learning", kind, actor_learning_rate=1e-2, hidden_dim=16, state=state)
        learner = make_learner(config, Space(2 * 5, 4, 1.0, -4.0, 5.0), "cpu", 0)
        generator = torch.Generator().manual_seed(0)
        for _ in range(100):
            items = torch.randint(2, (32, 5), generator=generator)
            histories, action = Histories(items, torch.zeros(32, 5)), embedding[items[:, 0] + 2]
            frame = events_of(*histories.last(2), embedding).flatten(1)
            seen = frame if kind == "frame" else latest(histories, 5, embedding)
            learner.update(Batch(seen, action, torch.full((32,), 5.0), seen, torch.ones(32)))
        errors[kind] = float((learner.act(seen) - action).square().mean())
    assert max(errors["gru"], errors["attention"]) < 0.01
    assert errors["frame"] > 0.1


def test_states_that_were_encoded_before_pass_unchanged(data: TransitionDataset) -> None:
    learner = learner_on(data, config_of("td3", "gru"))
    encoder = learner.policy.state_encoder
    assert isinstance(encoder, HistoryEncoder)
    windows = latest(histories_of(data, data.starts("all")[:9]), LENGTH, data.embedding)
    states = encoder(windows)
    assert states.shape == (9, WIDTH)
    assert encoder(states) is states
    assert torch.equal(learner.act(windows), learner.act(states))


def test_a_stored_encoder_is_checked(data: TransitionDataset, tmp_path: Path) -> None:
    policy = learner_on(data, config_of("td3", "gru")).recommender(data.embedding, "cosine")
    config, tensors = policy.config(), policy.tensors()
    for change, message in (
        ({"kind": "frame"}, r"state\.kind: Input should be 'gru' or 'attention'"),
        ({"width": 7}, "observations of 6"),
        ({"largest_reward": 0.0}, r"state\.largest_reward"),
        ({"kind": "attention"}, "weights that fit its config"),
    ):
        with pytest.raises(PolicyError, match=message):
            Policy.from_tensors(config | {"state": config["state"] | change}, tensors, data.embedding)
    with pytest.raises(PolicyError, match="observations of 6"):
        Policy.from_tensors(config | {"state": None}, tensors, data.embedding)


def test_attention_needs_a_width_that_its_heads_share() -> None:
    with pytest.raises(ValidationError, match="multiple of 2 for the state attention; found 7"):
        StateConfig(kind="attention", width=7)
