"""Drawing the starts of batches."""

import pytest
import torch

from models.errors import LearnerError
from models.sampling import UniformSampler


def test_sampler_is_uniform_seeded_and_needs_something_to_draw_from() -> None:
    sampler = UniformSampler(torch.tensor([3, 5, 8]), 3000, 1)
    counts = torch.bincount(sampler.next())
    assert counts.nonzero().flatten().tolist() == [3, 5, 8]
    assert counts[[3, 5, 8]].min() > 900
    again = UniformSampler(torch.tensor([3, 5, 8]), 3000, 1)
    again.next()
    state = again.state_dict()
    third = again.next()
    again.load_state_dict(state)
    assert torch.equal(third, again.next())
    with pytest.raises(LearnerError, match="found none"):
        UniformSampler(torch.zeros(0, dtype=torch.long), 4, 0)
