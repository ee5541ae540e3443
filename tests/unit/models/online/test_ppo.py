import numpy as np
import torch
from stable_baselines3.common.callbacks import BaseCallback
from unit.models.online.online_support import EMBEDDING, PROBLEM, SHORT, new_actor

from models.environments.controls import of_policy
from models.online.ppo import make_ppo
from models.online.training import rescaled
from models.online.vec_env import SimulatedVecEnv
from models.policy import Policy


def test_the_policy_of_this_project_acts_as_stable_baselines() -> None:
    """After an update: the published policy recommends what PPO's policy recommends, in every state of 10 steps."""
    actor, env = new_actor(), SimulatedVecEnv(PROBLEM, 8, 1)
    model, _ = make_ppo(env, actor, EMBEDDING, SHORT)
    before = actor.layers[0].weight.clone()
    model.learn(128)
    assert not torch.equal(actor.layers[0].weight, before)  # it is the actor itself that learns
    published = new_actor()
    published.load_state_dict(rescaled(actor, torch.from_numpy(env.scale)))
    choose = of_policy(Policy(published, EMBEDDING, "cosine"))
    seen = env.reset()
    for _ in range(10):
        items, _ = model.predict(seen, deterministic=True)
        assert np.array_equal(items, choose(env.episodes))
        seen, *_ = env.step(items)


def test_an_item_that_was_shown_is_never_chosen() -> None:
    env = SimulatedVecEnv(PROBLEM, 64, 1)
    model, _ = make_ppo(env, new_actor(), EMBEDDING, SHORT)
    seen = env.reset()
    for _ in range(30):  # of 60 items, up to 3 + 20 were shown
        items, _ = model.predict(seen)
        assert not env.episodes.states.shown[np.arange(64), items].any()
        seen, *_ = env.step(items)
    distribution = model.policy.get_distribution(torch.from_numpy(seen)).distribution
    assert bool(distribution.entropy().isfinite().all())
    assert torch.equal(distribution.probs > 0, torch.from_numpy(~env.episodes.states.shown))


def test_the_softmax_becomes_sharper_as_training_goes_on() -> None:
    """Z is 10, then grows by equal factors, and is 60 after the last rollout."""
    params = SHORT.model_copy(update={"steps": 512})
    model, sharpen = make_ppo(SimulatedVecEnv(PROBLEM, 8, 1), new_actor(), EMBEDDING, params)
    found: list[float] = []

    class Watch(BaseCallback):
        def _on_step(self) -> bool:
            return True

        def _on_rollout_end(self) -> None:
            found.append(sharpen.networks.inverse_temperature)

    model.learn(512, callback=[sharpen, Watch()])
    assert np.allclose(found, [10 * 6 ** (done / 4) for done in range(4)])


def test_the_value_is_that_of_the_true_state_which_the_actor_does_not_see() -> None:
    env = SimulatedVecEnv(PROBLEM, 4, 1, expected=True)
    model, _ = make_ppo(env, new_actor(), EMBEDDING, SHORT)
    seen = torch.from_numpy(env.reset())
    state, shown = PROBLEM.view.observation_dim, len(EMBEDDING)

    def found(observation: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return model.policy.get_distribution(observation).distribution.logits, model.policy.predict_values(observation)

    logits, values = found(seen)
    other = seen.clone()
    other[:, state + shown :] += 1
    same_logits, other_values = found(other)
    assert torch.equal(same_logits, logits)
    assert not torch.allclose(other_values, values)
    other = seen.clone()
    other[:, :state] += 1
    other_logits, same_values = found(other)
    assert not torch.allclose(other_logits, logits)
    assert torch.equal(same_values, values)
