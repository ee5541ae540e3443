"""What the article's methods share in the preset `article`: the settings of its code, RecNN.

From `recnn/nn/algo.py` and the notebooks `2. DDPG` and `3. TD3`, in this project's terms. Left out: RecNN's faults
(docs/methods.md), and Lookahead, the second half of its Ranger optimiser. RecNN's target noise, σ 0.5 clipped at 3, is in
units of the embedding; here it is in units of max_action, as in TD3's paper, where the clip is at most 5.
"""

from typing import Any

ACTOR: dict[str, Any] = {
    "actor_learning_rate": 1e-5,  # policy_lr
    "hidden_dim": 256,
    "optimiser": {"name": "radam", "weight_decay": 0.01},  # Ranger: RAdam and Lookahead
}
ACTOR_CRITIC = ACTOR | {
    "critic_learning_rate": 1e-5,  # value_lr
    "critic_last_bound": 0.6,  # critic_weight_init
    "policy_delay": 10,  # policy_step, policy_update
    "actor_last_bound": 0.54,  # actor_weight_init
}
TEMPORAL_DIFFERENCE = ACTOR_CRITIC | {
    "discount": 0.99,  # gamma
    "target_bounds": (-10.0, 10.0),  # min_value, max_value
}
