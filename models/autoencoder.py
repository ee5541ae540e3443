"""An autoencoder of vectors: it reduces features, and its reconstruction error shows actions that differ from logged ones."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import mse_loss


class Autoencoder(nn.Module):
    """Layers D → hidden → latent → hidden → D; the output is linear, because embeddings have negative coordinates."""

    def __init__(self, dim: int, hidden_dim: int, latent_dim: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(dim, hidden_dim),
            nn.ReLU(),
            nn.Linear(hidden_dim, latent_dim),
            nn.Linear(latent_dim, hidden_dim),
            nn.ReLU(),
            nn.Linear(hidden_dim, dim),
        )

    def forward(self, action: Tensor) -> Tensor:
        """The reconstruction, (N, D)."""
        reconstruction: Tensor = self.layers(action)
        return reconstruction

    def encode(self, rows: Tensor) -> Tensor:
        """The latent layer, (N, latent_dim), without gradients."""
        with torch.no_grad():
            latent: Tensor = self.layers[:3](rows)
            return latent

    def encoding_layers(self) -> list[tuple[NDArray[np.float32], NDArray[np.float32]]]:
        """Weight (in, out) and bias (out,) of the two layers before the latent one; a ReLU is between them."""
        layers = [layer for layer in list(self.layers)[:3] if isinstance(layer, nn.Linear)]
        return [(layer.weight.detach().numpy().T, layer.bias.detach().numpy()) for layer in layers]

    def errors(self, action: Tensor) -> Tensor:
        """Mean squared reconstruction error of each action, (N,)."""
        with torch.no_grad():
            errors: Tensor = (self(action) - action).square().mean(dim=1)
            return errors


def fit_autoencoder(
    actions: Tensor, hidden_dim: int = 64, latent_dim: int = 16, steps: int = 600, batch_size: int = 256, seed: int = 0
) -> Autoencoder:
    """Fit an autoencoder by Adam on the mean squared error; equal seeds give equal weights on the CPU.

    Args:
        actions: (N, D) float32.
        hidden_dim: width of both hidden layers.
        latent_dim: width of the latent layer.
        steps: updates.
        batch_size: rows of an update.
        seed: of weights and batches.

    Returns: the model in evaluation mode, without gradients.
    """
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = Autoencoder(actions.shape[1], hidden_dim, latent_dim).to(actions.device)
    optimiser = torch.optim.Adam(model.parameters(), 2e-3, fused=True)
    for _ in range(steps):
        rows = torch.randint(len(actions), (min(batch_size, len(actions)),), generator=generator).to(actions.device)
        loss = mse_loss(model(actions[rows]), actions[rows])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return model.eval().requires_grad_(False)
