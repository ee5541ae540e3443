import torch
from unit.models.online.online_support import PROBLEM, SHORT, new_actor

from models.online.sac import copy_weights, make_sac
from models.online.vec_env import SimulatedVecEnv


def test_an_actor_s_weights_go_into_stable_baselines_and_back() -> None:
    """Fine-tuning begins with the actor's own actions, and what SAC learnt acts the same here as there."""
    env = SimulatedVecEnv(PROBLEM.acting_by("embedding"), 8, 1)
    begun, learnt = new_actor(0), new_actor(1)
    model = make_sac(env, begun, SHORT, fine_tune=True)
    seen = env.reset()
    first, _ = model.predict(seen, deterministic=True)
    assert torch.allclose(torch.from_numpy(first), begun(torch.from_numpy(seen)), atol=1e-6)
    model.learn(256)
    copy_weights(model, learnt)
    last, _ = model.predict(seen, deterministic=True)
    assert torch.allclose(torch.from_numpy(last), learnt(torch.from_numpy(seen)), atol=1e-6)
    assert not torch.allclose(torch.from_numpy(last), torch.from_numpy(first), atol=1e-3)


def test_fine_tuning_begins_with_little_noise_and_without_random_steps() -> None:
    env = SimulatedVecEnv(PROBLEM.acting_by("embedding"), 8, 1)
    model = make_sac(env, new_actor(), SHORT, fine_tune=True)
    _, log_std, _ = model.actor.get_action_dist_params(torch.from_numpy(env.reset()))
    assert bool((log_std == SHORT.sac.log_std).all())
    assert model.learning_starts == 0
    assert make_sac(env, new_actor(), SHORT, fine_tune=False).learning_starts == SHORT.sac.learning_starts
