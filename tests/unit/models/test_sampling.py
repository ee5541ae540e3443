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


def test_batches_of_like_lengths_draw_every_start_alike() -> None:
    starts = torch.arange(200)
    lengths = 10 + (starts * 37) % 200  # 10 … 209, in no order
    sampler = UniformSampler(starts, 8, 1, lengths)
    drawn = [sampler.next() for _ in range(2000)]
    spread = torch.stack([lengths[batch].max() - lengths[batch].min() for batch in drawn]).float()
    assert spread.mean() < 20, "of 200; at random it is about 155"
    counts = torch.bincount(torch.cat(drawn), minlength=200)
    assert counts.min() > 40, "80 are expected"
    state = sampler.state_dict()
    following = sampler.next()
    sampler.load_state_dict(state)
    assert torch.equal(following, sampler.next())
