"""The parameters of short trainings."""

from typing import Any

from models.learners.ranking_config import RankingConfig
from models.learners.td3 import TD3Config
from models.ranking_policy_config import RankingPolicyConfig
from models.trainer_config import TrainerConfig
from tasks.train import TrainParams

SHORT = TrainerConfig(steps=6, batch_size=8, log_every=2, validate_every=3, checkpoint_every=3)


def params(**more: Any) -> TrainParams:
    """A learner from transitions, and one from sequences, whose dropout draws from torch's global random numbers."""
    policy = RankingPolicyConfig(width=8, length=5, critic_width=8)
    values: dict[str, Any] = {
        "learners": ("td3", "ranking"), "td3": TD3Config(hidden_dim=8), "trainer": SHORT, "sequence_trainer": SHORT,
        "ranking": RankingConfig(policy=policy, sequences=4, negatives=10), "validation_steps": 10,
    }  # fmt: skip
    return TrainParams(**values | more)
