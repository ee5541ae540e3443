import numpy as np
import torch
from unit.models.online.online_support import EMBEDDING, PROBLEM, SHORT, new_actor

from models.online.gail import Discriminator, DiscriminatorRewards, Expert, TrainDiscriminator
from models.online.params import GAILParams
from models.online.ppo import make_ppo
from models.online.vec_env import SimulatedVecEnv

STATE, ACTION = PROBLEM.view.observation_dim, EMBEDDING.shape[1]


def pairs(count: int, seed: int) -> Expert:
    rng = torch.Generator().manual_seed(seed)
    return Expert(torch.randn(count, STATE, generator=rng), torch.randn(count, ACTION, generator=rng))


def discriminator(seed: int = 0) -> Discriminator:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return Discriminator(STATE, ACTION, 8)


def log_odds(weights: list[np.ndarray], observations: np.ndarray, actions: np.ndarray) -> np.ndarray:
    """Float64, written anew: two ReLU layers and a linear one."""
    values = np.concatenate((observations, actions), 1)
    for place in (0, 2):
        values = np.maximum(values @ weights[place].T + weights[place + 1], 0)
    return (values @ weights[4].T + weights[5])[:, 0]


def test_loss_gradient_and_reward_are_those_of_the_paper() -> None:
    """-E_expert log D - E_policy log(1 - D) and -log(1 - D), against float64 and finite differences."""
    made, expert, policy = discriminator(), pairs(5, 1), pairs(7, 2)
    weights = [one.detach().double().numpy() for one in made.parameters()]

    def loss() -> float:
        chances = [
            1 / (1 + np.exp(-log_odds(weights, *(part.double().numpy() for part in one)))) for one in (expert, policy)
        ]
        return float(-np.log(chances[0]).mean() - np.log(1 - chances[1]).mean())

    found = made.loss(expert, policy)
    found.backward()
    assert abs(float(found.detach()) - loss()) < 1e-5
    for place, parameter in enumerate(made.parameters()):
        assert parameter.grad is not None
        where = np.unravel_index(int(parameter.grad.abs().argmax()), weights[place].shape)
        above, step = weights[place].copy(), 1e-6
        kept = weights[place]
        above[where] += step
        before, weights[place] = loss(), above
        slope = (loss() - before) / step
        weights[place] = kept
        assert abs(float(parameter.grad[where]) - slope) < 1e-4
    odds = log_odds(weights, *(part.double().numpy() for part in policy))
    assert np.allclose(made.reward(*policy).numpy(), -np.log(1 - 1 / (1 + np.exp(-odds))), atol=1e-5)


def test_the_reward_is_that_of_the_choice_in_the_state_before_it() -> None:
    env = DiscriminatorRewards(SimulatedVecEnv(PROBLEM, 4, 0), discriminator())
    seen = env.reset()
    for _ in range(3):
        items = env.venv.episodes.states.shown.argmin(1)
        states = torch.from_numpy(seen[:, :STATE].copy())
        expected = env.discriminator.reward(states, EMBEDDING[torch.from_numpy(items)])
        seen, rewards, _, _ = env.step(items)
        assert np.allclose(rewards, expected.numpy())


def test_the_discriminator_learns_from_the_rollouts_to_tell_them_from_the_log() -> None:
    """The log of this test chooses item 0 in every state; after 4 rollouts its choices are the likelier ones."""
    env = DiscriminatorRewards(SimulatedVecEnv(PROBLEM, 8, 0), discriminator())
    states = torch.from_numpy(np.concatenate([env.reset()[:, :STATE] for _ in range(8)]))
    expert = Expert(states, EMBEDDING[:1].expand(len(states), -1))
    callback = TrainDiscriminator(env, expert, GAILParams(updates=50, batch_size=64, learning_rate=3e-3), 0)
    make_ppo(env, new_actor(), EMBEDDING, SHORT)[0].learn(4 * 128, callback=callback)
    others = env.pairs(env.reset(), np.arange(1, 9))
    assert float(env.discriminator.reward(*expert).mean()) > 2 * float(env.discriminator.reward(*others).mean())
