"""The parameters of simulated users: what they like, what bores them, when they leave."""

from pydantic import BaseModel, ConfigDict, Field


class Mechanics(BaseModel):
    """How a user reacts to a recommended item; `users.py` has the equations and the sources."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    horizon: int = Field(60, ge=1, le=10_000, description="Most recommendations of an episode.")
    acceptance: float = Field(1.0, ge=-10, le=10, description="Log odds that a user watches an item of liking 0.")
    acceptance_slope: float = Field(1.5, ge=0, le=10, description="How much liking adds to those log odds.")
    appeal: float = Field(0.6, ge=0, le=5, description="Immediate liking of an item with an appeal of 1.")
    after_effect: float = Field(
        0.2,
        ge=0,
        le=5,
        description="How much an item with an appeal of 1 lowers satisfaction [RecSim's choc and kale].",
    )
    memory: float = Field(0.9, ge=0, lt=1, description="Share of satisfaction that is left after one more item.")
    satisfaction: float = Field(0.5, ge=0, le=5, description="How much a satisfaction of 1 adds to liking.")
    bored_after: int = Field(
        3, ge=1, le=20, description="Items of one topic among the latest that bore a user [SARDINE]."
    )
    bored_within: int = Field(5, ge=1, le=20, description="How many latest items count for boredom.")
    bored_for: int = Field(10, ge=1, le=100, description="Items watched until the topic interests again.")
    boredom: float = Field(
        2.0, ge=0, le=10, description="How much boredom lowers the liking of the topic's items; 0: none."
    )
    satiation: float = Field(
        0.0, ge=0, le=10, description="How much the share of the topic among the latest items lowers liking; 0: none."
    )
    refusal: float = Field(1.0, ge=0, le=10, description="How much a refused item counts against satisfaction.")
    exit_rate: float = Field(0.005, ge=0, le=1, description="Chance to leave after an item, at a satisfaction of 0.")
    exit_slope: float = Field(
        1.0, ge=0, le=10, description="How quickly that chance falls with satisfaction [KuaiSim]; 0: it stays."
    )

    def without(self, *names: str) -> "Mechanics":
        """The same users without these mechanisms, of `MECHANISMS`.

        Raises:
            KeyError: there is no such mechanism.
        """
        return self.model_copy(update={field: 0.0 for name in names for field in MECHANISMS[name]})


# Mechanisms by name, and the parameters that switch each off when they are 0.
MECHANISMS = {
    "boredom": ("boredom",),
    "after_effect": ("after_effect",),
    "exit": ("exit_slope",),
    "satiation": ("satiation",),
}
