"""Named sets of hyper-parameters.

`default` is what the configs say themselves. `article` is what the article's code, RecNN, trains with: `recnn/nn/algo.py`
and the notebooks `2. DDPG` and `3. TD3`, in this code's terms. Not taken over: its faults (docs/methods.md); Lookahead,
the second half of its Ranger optimiser; its noise of σ 0.5 clipped at 3 counts there in units of the embedding and here in
units of max_action, as in TD3's paper, in which this code bounds its clip at 5.
"""

from typing import Any, Literal

PresetName = Literal["default", "article"]

ACTOR = {
    "actor_learning_rate": 1e-5,  # policy_lr
    "hidden_dim": 256,
    "optimiser": {"name": "radam", "weight_decay": 0.01},  # Ranger: RAdam and Lookahead
}
ACTOR_CRITIC = ACTOR | {
    "critic_learning_rate": 1e-5,  # value_lr
    "critic_last_bound": 0.6,  # critic_weight_init
    "policy_delay": 10,  # policy_step, policy_update
}
ARTICLE: dict[str, dict[str, Any]] = {
    "policy_learning": ACTOR,
    "reward_actor_critic": ACTOR_CRITIC | {"actor_last_bound": 0.54},
    "td_actor_critic": ACTOR_CRITIC | {"actor_last_bound": 0.54, "discount": 0.99, "target_bounds": (-10.0, 10.0)},
    "ddpg": ACTOR_CRITIC
    | {
        "actor_last_bound": 0.54,  # actor_weight_init
        "discount": 0.99,  # gamma
        "target_bounds": (-10.0, 10.0),  # min_value, max_value
        "target_rate": 0.001,  # soft_tau
    },
    "td3": ACTOR_CRITIC
    | {
        "actor_last_bound": 0.25,
        "discount": 0.99,
        "target_bounds": None,  # its TD3 does not clip
        "target_rate": 0.001,
        "target_noise": 0.5,  # noise_std
        "noise_clip": 3.0,
    },
}
ARTICLE["td3_bc"] = ARTICLE["td3"]  # the article has none; its TD3's

# The article: RAdam until validation turns, then Adam. Shipped profiles look 8 to 20 times: few without a best are a turn.
RECIPE: dict[str, Any] = {"stages": ("radam", "adam"), "patience": 3}


def with_preset(values: dict[str, Any]) -> dict[str, Any]:
    """A preset's hyper-parameters under those that are given: learners' configs by their names, and the trainer's."""
    if values.get("preset") != "article":
        return values
    sets = ARTICLE | {"trainer": RECIPE}
    return values | {name: _under(chosen, values.get(name, {})) for name, chosen in sets.items()}


def _under(chosen: dict[str, Any], given: Any) -> Any:
    """`given` over `chosen`, field by field; anything but fields is left as it is."""
    if not isinstance(given, dict):
        return given
    nested = {
        name: _under(value, given[name]) for name, value in chosen.items() if name in given and isinstance(value, dict)
    }
    return chosen | given | nested
