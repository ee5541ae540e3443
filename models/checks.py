"""What learners refuse."""

import torch

from models.batch import Batch
from models.errors import LearnerError


def require_finite(batch: Batch) -> None:
    """Refuse a batch with NaN or infinity before it reaches the weights: one sum per tensor carries either along.

    Raises:
        LearnerError: names the member.
    """
    sums = torch.stack([part.sum() for part in batch])
    if not torch.isfinite(sums).all():
        bad = [name for name, value in zip(Batch._fields, sums.tolist(), strict=True) if value - value != 0]
        raise LearnerError(
            f"batch: expected finite numbers; found NaN or infinity in {', '.join(bad)}. Check the dataset."
        )
