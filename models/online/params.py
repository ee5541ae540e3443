"""Parameters of training in an environment; importing them does not need Stable-Baselines3."""

from typing import Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, model_validator


class OnlineMethod(NamedTuple):
    """How a method works, in one sentence, and where it is from."""

    summary: str
    paper: str
    learns_from: Literal["environment"] = "environment"


METHODS = {
    "online_ppo": OnlineMethod(
        "Trained with simulated users, by proximal policy optimisation: a softmax over the items by their nearness to the action.",
        "Schulman et al. 2017, arXiv:1707.06347",
    ),
    "online_sac": OnlineMethod(
        "Trained with simulated users, by soft actor-critic: a random action, whose nearest item is recommended.",
        "Haarnoja et al. 2018, arXiv:1812.05905",
    ),
    "online_gail": OnlineMethod(
        "Trained with simulated users, by PPO: the reward is high if a discriminator takes a choice for a liked one of the log.",
        "Ho & Ermon 2016, arXiv:1606.03476",
    ),
}
FROM = "_from_"  # between a method's name and that of the learner whose policy it began from


def method_of(learner: str) -> OnlineMethod | None:
    """The method of a policy that was trained in an environment, by the learner that its manifest names."""
    return METHODS.get(learner.partition(FROM)[0])


Algorithm = Literal["ppo", "sac"]
Reward = Literal["environment", "gail"]


class PPOParams(BaseModel):
    """Hyper-parameters of PPO (Schulman et al. 2017, arXiv:1707.06347), as Stable-Baselines3 names them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    learning_rate: float = Field(3e-4, gt=0, le=0.1, description="Learning rate of the actor and the value.")
    n_steps: int = Field(32, ge=2, le=10_000, description="Steps of every environment between two updates.")
    batch_size: int = Field(512, ge=2, le=65_536, description="Steps per gradient step.")
    n_epochs: int = Field(4, ge=1, le=100, description="Passes over the steps of an update.")
    gae_lambda: float = Field(0.95, ge=0, le=1, description="λ of the advantage estimate (Schulman et al. 2016).")
    clip_range: float = Field(0.2, gt=0, le=1, description="ε, how far the probability ratio may move.")
    ent_coef: float = Field(0.003, ge=0, le=1, description="Weight of the entropy bonus.")
    target_kl: float | None = Field(
        0.03, gt=0, le=10, description="An update ends early if the KL divergence exceeds 1.5 times this; none: never."
    )
    inverse_temperature: float = Field(
        10.0, gt=0, le=1000, description="z at the start: the policy is the softmax of z cos(π(s), e_i)."
    )
    last_inverse_temperature: float = Field(60.0, gt=0, le=1000, description="z at the end; it grows geometrically.")


class SACParams(BaseModel):
    """Hyper-parameters of SAC (Haarnoja et al. 2018, arXiv:1812.05905), as Stable-Baselines3 names them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    learning_rate: float = Field(
        3e-4, gt=0, le=0.1, description="Learning rate of the actor, the critics and the temperature."
    )
    buffer_size: int = Field(30_000, ge=100, le=10_000_000, description="Transitions that are kept.")
    learning_starts: int = Field(2_000, ge=0, le=10_000_000, description="Random steps before the first update.")
    batch_size: int = Field(256, ge=2, le=65_536, description="Transitions per update.")
    tau: float = Field(0.005, gt=0, le=1, description="τ of the target critics.")
    gradient_steps: int = Field(1, ge=1, le=1000, description="Updates after each step of all environments.")
    log_std: float = Field(-2.0, ge=-20, le=2, description="Log σ at the start of fine-tuning.")


class GAILParams(BaseModel):
    """Hyper-parameters of the discriminator of GAIL (Ho & Ermon 2016, arXiv:1606.03476)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    hidden_dim: int = Field(128, ge=4, le=4096, description="Width of its two hidden layers.")
    learning_rate: float = Field(3e-4, gt=0, le=0.1, description="Learning rate of Adam.")
    updates: int = Field(8, ge=1, le=1000, description="Updates of the discriminator before each update of the policy.")
    batch_size: int = Field(512, ge=2, le=65_536, description="Logged choices, and as many of the policy, per update.")


class OnlineParams(BaseModel):
    """What is trained in the environment, and for how long."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    algorithm: Algorithm = Field(
        "ppo",
        description="ppo: a softmax over the items by their nearness to the action; sac: the action is a point among the items.",
    )
    reward: Reward = Field(
        "environment",
        description="environment: the rewards of the simulated users; gail: how much a choice looks like the liked choices "
        "of the log, by a discriminator that is trained beside PPO.",
    )
    steps: int = Field(600_000, ge=1, le=1_000_000_000, description="Number of recommendations, over all environments.")
    envs: int = Field(128, ge=1, le=10_000, description="Number of episodes at the same time.")
    expected: bool = Field(
        True,
        description="PPO with the environment's rewards learns from the mean reward of an item in the user's state, and from the "
        "chance that the user leaves, in the place of drawn ones, and V is that of the user's true state, which the actor does not "
        "see: the same in expectation, with less noise. Returns are measured with drawn ones.",
    )
    discount: float = Field(0.97, ge=0, lt=1, description="γ.")
    hidden_dim: int = Field(256, ge=4, le=4096, description="Width of both hidden layers of the actor and the critics.")
    validate_every: int = Field(
        20_480, ge=1, description="Steps between measurements of the return on validation users."
    )
    validation_users: int = Field(
        100, ge=2, le=100_000, description="Number of validation users, at most; one episode each."
    )
    seed: int = Field(0, ge=0, lt=2**31, description="Seed of the networks, the users and their reactions.")
    ppo: PPOParams = Field(PPOParams(), description="Hyper-parameters of PPO.")
    sac: SACParams = Field(SACParams(), description="Hyper-parameters of SAC.")
    gail: GAILParams = Field(GAILParams(), description="Hyper-parameters of GAIL's discriminator.")

    @model_validator(mode="after")
    def _gail_is_on_policy(self) -> "OnlineParams":
        if self.reward == "gail" and self.algorithm != "ppo":
            raise ValueError(
                f"reward: expected environment for the algorithm {self.algorithm}; found gail, which needs ppo. Change one of them."
            )
        return self

    @property
    def method(self) -> str:
        """The name of what is trained: online_ppo, online_sac or online_gail."""
        return f"online_{'gail' if self.reward == 'gail' else self.algorithm}"
