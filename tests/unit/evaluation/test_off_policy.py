"""Estimates beside the true value of policies on generated data, and what the section says of them."""

from pathlib import Path

import pytest
import torch
from unit.evaluation.off_policy_support import Generated, generated, known_policies
from unit.storage.transitions_support import written

from evaluation.off_policy import OffPolicyParams, chances, fresh, judged_starts
from evaluation.page import without_nan
from evaluation.sections.off_policy import OffPolicySection, PolicyValue, charts, measure_off_policy
from storage.sources.sample import SampleParams

PARAMS = OffPolicyParams(draws=100)
ORDER = ("ideal", "as people choose", "popular", "random", "contrary")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Generated:
    return generated(tmp_path_factory.mktemp("sample"), SampleParams(users=600, movies=250, events_per_user_mean=50))


@pytest.fixture(scope="module")
def section(data: Generated) -> OffPolicySection:
    return measure_off_policy(
        data.dataset, known_policies(data), PARAMS, baselines=("popular", "random"), truth=data.rewards
    )


def value_of(section: OffPolicySection, name: str) -> PolicyValue:
    return next(policy for policy in section.policies if policy.name == name)


def test_print(section: OffPolicySection) -> None:
    print(section.users, section.steps, section.logged, section.perplexity, section.perplexity_popularity, section.perplexity_uniform)
    for p in section.policies:
        print(p.name, "true %.2f DM %.2f SNIPS %.2f DR %.2f FQE %.2f" % (p.true_value, p.direct.value, p.importance.value, p.doubly_robust.value, p.fitted_q.value), p.doubly_robust, "ess %.0f two %.1f mw %.2f max %.0f sup %.2f clip %.1f/%.2f" % (p.effective, p.effective_two_steps, p.mean_weight, p.largest_weight, p.support, p.clip, p.clipped), p.warning)


def test_only_the_order_of_scores_counts() -> None:
    """A list of three of which the second best item was seen: places 1, 1/2, 1/3."""
    seen = torch.tensor([[False, True, False, False, False]])
    params = OffPolicyParams(depth=3)
    for scores in (torch.tensor([[1.0, 5, 9, 3, 2]]), torch.tensor([[-4.0, 0, 70, 0.2, 0.1]])):
        items, chance = chances(scores, seen, params)
        assert items.tolist() == [[2, 3, 4]]
        assert torch.allclose(chance, torch.tensor([[6.0, 3, 2]]) / 11)
    _, alike = chances(torch.rand(1, 5), seen, params.model_copy(update={"steepness": 0.0}))
    assert torch.allclose(alike, torch.full((1, 3), 1 / 3))


def test_seen_items_are_not_taken_where_few_are_left() -> None:
    items, chance = chances(torch.rand(1, 3), torch.tensor([[True, False, True]]), OffPolicyParams())
    assert chance[items == 1].tolist() == [1]
    assert chance.sum() == 1


def test_steps_that_repeat_an_item_are_left_out(tmp_path: Path) -> None:
    data = written(tmp_path, [14, 9, 12, 15, 11, 8])  # twenty items: many are rated twice
    starts = data.starts("all")
    kept = set(fresh(data, starts).tolist())
    for start in starts.tolist():
        first = int(data.offset[data.users_of(torch.tensor([start]))])
        assert (start in kept) == (int(data.item[start + 3]) not in data.item[first : start + 3].tolist())


def test_users_are_judged_whole(data: Generated) -> None:
    starts = judged_starts(data.dataset, OffPolicyParams(users=5, steps_per_user=7))
    users, number = data.dataset.users_of(starts).unique(return_counts=True)
    whole = (data.dataset.offset[users + 1] - data.dataset.offset[users] - data.dataset.frame).clamp(max=7)
    assert number.tolist() == whole.tolist()
    assert len(users) == 5
    assert set(data.dataset.user_split[users].tolist()) == {2}
