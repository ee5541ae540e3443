"""The registry of learners. A new one is its own file, with an `ENTRY`, and its name in the import and in `MODULES` here."""

import torch

from models.learners import (
    bcq,
    cql,
    ddpg,
    discrete_bcq,
    gru4rec,
    iql,
    policy_learning,
    ranking,
    reinforce,
    reward_actor_critic,
    sac,
    sasrec,
    td3,
    td3_bc,
    td_actor_critic,
)
from models.learners.actor import ActorLearner
from models.learners.config import LearnerConfig
from models.learners.entry import LearnerEntry
from models.space import Space

# In the order of the parameters and the reports.
MODULES = (
    policy_learning,
    reward_actor_critic,
    td_actor_critic,
    ddpg,
    td3,
    td3_bc,
    iql,
    bcq,
    sac,
    cql,
    ranking,
    gru4rec,
    sasrec,
    reinforce,
    discrete_bcq,
)
LEARNERS: dict[str, LearnerEntry] = {module.ENTRY.name: module.ENTRY for module in MODULES}
ENSEMBLE = "-ensemble"  # ends the name of a policy that is made of several policies of one learner
TRANSITION_LEARNERS = tuple(name for name, entry in LEARNERS.items() if entry.learns_from == "transitions")


def entry_of(name: str) -> LearnerEntry | None:
    """The entry of a learner, or of the learner whose ensemble has that name; None if it is unknown."""
    return LEARNERS.get(name.removesuffix(ENSEMBLE))


def make_learner(config: LearnerConfig, space: Space, device: torch.device | str, seed: int) -> ActorLearner:
    """Make the learner from transitions that `config` belongs to; equal seeds give equal weights on a device."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        learner = LEARNERS[config.name].learner(config, space, torch.device(device), seed)
    assert isinstance(learner, ActorLearner)  # noqa: S101
    return learner
