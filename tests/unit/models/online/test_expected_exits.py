import numpy as np
from unit.models.online.online_support import EMBEDDING, PROBLEM, SHORT, new_actor

from models.environments.users import SimulatedUsers
from models.online.expected_exits import ExpectedExits, advantages
from models.online.ppo import make_ppo
from models.online.vec_env import SimulatedVecEnv


def test_advantages_are_discounted_sums_of_errors() -> None:
    """A_t = Σ_k (Π_{j<k} w_{t+j}) δ_{t+k}, written out in float64."""
    rng = np.random.default_rng(0)
    errors, weights = rng.normal(size=(5, 3)).astype(np.float32), rng.random((5, 3)).astype(np.float32)
    found = np.zeros_like(errors)
    advantages(errors, weights, found)
    for step in range(5):
        expected = sum(
            np.prod(weights[step : step + later].astype(np.float64), axis=0) * errors[step + later]
            for later in range(5 - step)
        )
        assert np.allclose(found[step], expected, atol=1e-5)


def test_a_rollout_s_advantages_have_the_chance_to_stay_in_the_place_of_leaving() -> None:
    """With λ = 0, A = r + γ c V(s') - V(s), also where an episode ends; V(s') is that of its last observation."""
    params = SHORT.model_copy(update={"ppo": SHORT.ppo.model_copy(update={"gae_lambda": 0.0, "n_steps": 32})})
    env = SimulatedVecEnv(PROBLEM, 8, 1, expected=True)
    model, _ = make_ppo(env, new_actor(), EMBEDDING, params)
    seen: dict[str, list[np.ndarray]] = {"rewards": [], "stays": [], "following": [], "done": []}

    class Spy(ExpectedExits):
        def _on_step(self) -> bool:
            after = self.locals["new_obs"].copy()
            for place in np.flatnonzero(self.locals["dones"]):
                after[place] = self.locals["infos"][place]["terminal_observation"]
            values = self.model.policy.predict_values(self.model.policy.obs_to_tensor(after)[0])
            seen["following"].append(values.detach().numpy()[:, 0])
            for name, value in (
                ("rewards", self.locals["rewards"]),
                ("stays", env.stays),
                ("done", self.locals["dones"]),
            ):
                seen[name].append(value.copy())
            return super()._on_step()

        def _on_rollout_end(self) -> None:
            super()._on_rollout_end()
            buffer = self.locals["rollout_buffer"]
            rewards, stays, following = (np.stack(seen[name]) for name in ("rewards", "stays", "following"))
            expected = rewards + params.discount * stays * following - buffer.values
            assert np.allclose(buffer.advantages, expected, atol=1e-4)
            assert np.allclose(buffer.returns, buffer.advantages + buffer.values)
            seen["checked"] = [np.stack(seen["done"])]

    model.learn(256, callback=Spy(env))
    assert seen["checked"][0].any()  # some episodes have ended


def test_rewards_are_the_mean_of_those_that_are_drawn() -> None:
    env = SimulatedVecEnv(PROBLEM, 2000, 0, expected=True)
    env.reset()
    user = SimulatedVecEnv(PROBLEM, 1, 3)
    user.reset()
    env.episodes.states.put(np.arange(2000), user.episodes.states.of(np.zeros(2000, dtype=np.int64)))
    item = np.full(2000, int(user.episodes.states.shown[0].argmin()))
    before = env.episodes.states.of(np.arange(2000))
    reactions = SimulatedUsers.react(env.problem.users, before, item, np.random.default_rng(0))
    drawn = np.where(reactions.watched, env.problem.view.rewards(reactions.stars), 0.0)
    _, rewards, _, _ = env.step(item)
    assert np.allclose(rewards, rewards[0])
    assert abs(float(rewards[0]) * 5 - drawn.mean()) < 4 * drawn.std() / 2000**0.5
    assert 0 < env.stays.min() < 1
