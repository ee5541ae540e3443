"""The terms that are fitted in closed form: how often items were rated, and the kernels' sums over a history."""

import pytest
import torch
from unit.models.ranking_support import DATA, ITEMS, config, learner_of, world

from models.baselines.ease import EaseConfig, fit_ease
from models.fitted_terms import counts_of
from models.histories import Histories
from models.kernels import association_kernel, kernel_items


def test_counts_are_of_all_events_and_of_the_latest_tenth_until_a_time() -> None:
    counts, recent = counts_of(DATA)
    assert torch.equal(counts, DATA.counts)
    assert torch.equal(recent, torch.bincount(DATA.items[-60:], minlength=ITEMS))
    early, recent = counts_of(DATA, until=99)
    assert torch.equal(early, torch.bincount(DATA.items[:100], minlength=ITEMS))
    assert torch.equal(recent, torch.bincount(DATA.items[90:100], minlength=ITEMS))


def test_associations_rank_as_ease_does_on_the_whole_history() -> None:
    policy = learner_of(config(kernel={"min_count": 1, "association_ridge": 50.0})).policy
    histories = Histories(torch.tensor([[-1, 3, 7, 3, 20, 11]]), torch.ones(1, 6))
    ease = fit_ease(EaseConfig(regularisation=50.0, min_count=1, last=None), DATA)
    mine, theirs = policy.fitted.scores("associations", histories, policy.unit), ease.scores(histories)
    torch.testing.assert_close(mine / mine.abs().max(), theirs / theirs.abs().max())


@pytest.mark.parametrize("most", [10, 8000])
def test_the_kernels_have_the_same_rows(most: int) -> None:
    data = world()
    settings = config(kernel={"min_count": 1, "max_items": most}).kernel
    items = kernel_items(data, settings)
    kernel = association_kernel(data, items, settings)
    assert kernel.shape == (len(items), len(items)) == (min(most, ITEMS - 1),) * 2
    assert float(kernel.square().mean().sqrt()) == pytest.approx(1.0)
    assert not kernel.diagonal().any()
