"""What users weigh when they choose for themselves."""

from typing import NamedTuple

from models.environments.world import Floats


class Choices(NamedTuple):
    """Weights beside log popularity; of similarity to each of the last three items. Their sum is divided by the temperature."""

    affinity: float = 1.2
    appeal: float = 0.5
    similarity: float = 1.0
    temperature: float = 0.8
    contents: Floats | None = None  # (I, D) of length 1, whose products are similarities; none: those of the world
