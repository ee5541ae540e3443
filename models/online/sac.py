"""SAC over points in item space: Stable-Baselines3's algorithm, and its actor's weights as those of an actor of this project."""

import torch
from stable_baselines3 import SAC
from stable_baselines3.common.vec_env import VecEnv
from torch import Tensor, nn

from models.networks import Actor
from models.online.params import OnlineParams

# Layers of an `Actor`, and the same in Stable-Baselines3's. Both act by max_action tanh of the last one.
NAMES = {"layers.0": "latent_pi.0", "layers.2": "latent_pi.2", "layers.4": "mu"}


def make_sac(env: VecEnv, actor: Actor, params: OnlineParams, *, fine_tune: bool) -> SAC:
    """SAC whose actor begins with the weights of `actor`.

    Args:
        env: whose actions are embeddings.
        actor: new, or trained.
        params: hyper-parameters.
        fine_tune: whether the actor is trained: then the noise begins small, and no random steps are taken.
    """
    settings = params.sac.model_dump(exclude={"log_std", "learning_starts"})
    model = SAC(
        "MlpPolicy",
        env,
        gamma=params.discount,
        seed=params.seed,
        device="cpu",
        train_freq=1,
        learning_starts=0 if fine_tune else params.sac.learning_starts,
        policy_kwargs={"net_arch": [actor.hidden_dim, actor.hidden_dim], "activation_fn": nn.ReLU},
        **settings,
    )
    model.actor.load_state_dict(model.actor.state_dict() | weights_of(actor))
    if fine_tune:
        log_std = model.actor.log_std
        assert isinstance(log_std, nn.Linear)  # noqa: S101
        nn.init.zeros_(log_std.weight)
        nn.init.constant_(log_std.bias, params.sac.log_std)
    return model


def weights_of(actor: Actor) -> dict[str, Tensor]:
    """An actor's weights by Stable-Baselines3's names."""
    own = actor.state_dict()
    return {f"{theirs}.{kind}": own[f"{ours}.{kind}"] for ours, theirs in NAMES.items() for kind in ("weight", "bias")}


def copy_weights(model: SAC, actor: Actor) -> None:
    """Give `actor` the present weights of SAC's."""
    found = model.actor.state_dict()
    with torch.no_grad():
        for ours, theirs in NAMES.items():
            for kind in ("weight", "bias"):
                actor.state_dict()[f"{ours}.{kind}"].copy_(found[f"{theirs}.{kind}"])
