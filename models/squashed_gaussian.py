"""The stochastic actor of SAC: a Gaussian that is squashed by tanh (Haarnoja et al. 2018, arXiv:1812.05905, appendix C)."""

import math

from torch import Tensor, nn
from torch.nn.functional import softplus

from models.networks import Actor, products_in
from models.ranks import by_rows

LOG_STD_BOUNDS = (-20.0, 2.0)  # of the authors' code


class SquashedGaussian(nn.Module):
    """a = max_action tanh(u), u ~ N(μ(s), σ(s)²), coordinates independent.

    The mean network is an `Actor`, which acts by max_action tanh(μ(s)); it alone is validated and published. log σ(s) is a
    second last layer on its hidden layers, which only training uses. Densities are those of a / max_action: in these units
    the entropy of a policy does not depend on the items' embeddings.
    """

    def __init__(self, actor: Actor) -> None:
        super().__init__()
        self.actor = actor
        self.log_std = nn.Linear(actor.hidden_dim, actor.action_dim)

    def forward(self, observation: Tensor) -> tuple[Tensor, Tensor]:
        """μ(s) and σ(s), (B, D) each."""
        state = self.actor.state_encoder(observation)
        with products_in(self.actor.precision, state.device):
            hidden = by_rows(self.actor.layers[:-1], state)
            mean, log_std = self.actor.layers[-1](hidden), self.log_std(hidden)
        dtype = self.log_std.bias.dtype
        return mean.to(dtype), log_std.to(dtype).clamp(*LOG_STD_BOUNDS).exp()

    def squashed(self, mean: Tensor, std: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """The actions a = max_action tanh(μ + σ ε), (…, D), of noise ε (…, D), and their log π(a|s), (…)."""
        u = mean + std * noise
        gaussian = -0.5 * (noise.square() + math.log(2 * math.pi)) - std.log()
        # log (1 - tanh² u), in a form that does not round to log 0
        jacobian = 2 * (math.log(2) - u - softplus(-2 * u))
        return self.actor.bounded(u), (gaussian - jacobian).sum(-1)
