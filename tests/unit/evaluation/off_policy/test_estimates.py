"""Estimates beside the true value of policies on generated data, and what the section says of them."""

from collections.abc import Iterator
from html import unescape
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
import torch
from unit.evaluation.off_policy.off_policy_support import NOISE, STEADY, Generated, followed, generated, known_policies
from unit.storage.dataset.transitions_support import written

from evaluation.baselines import training_data
from evaluation.off_policy.estimates import OffPolicyParams, capped, chances, evaluated_starts, fresh
from evaluation.report.formats import without_nan
from evaluation.report.page import render_partial
from evaluation.report.sections.off_policy.charts import draw
from evaluation.report.sections.off_policy.numbers import (
    Interval,
    OffPolicySection,
    PolicyValue,
    measure_off_policy,
)
from models import threads
from models.histories import Histories, seen_items
from models.off_policy.behaviour import fit_behaviour
from models.off_policy.estimators import estimate, user_draws
from models.off_policy.features import FeatureConfig, Features
from models.off_policy.fitted_q import LoggedSteps
from tasks.sample import SampleParams

PARAMS = OffPolicyParams(draws=100)
TRUSTED = (
    "as people choose",
    "markov",
    "content similarity",
)  # of the known policies, as the log reaches all they choose
ONE_STEP = ("direct", "importance", "doubly_robust")


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Products this small are quicker on one thread, and many times so where cores are shared."""
    with threads.one_thread():
        yield


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Generated:
    return generated(tmp_path_factory.mktemp("sample"), SampleParams(users=600, movies=250, mechanics=STEADY))


@pytest.fixture(scope="module")
def section(data: Generated) -> OffPolicySection:
    policies = known_policies(data)
    return measure_off_policy(
        data.dataset, policies, PARAMS, baselines=("popular", "markov"), truth=data.simulated.true_rewards
    )


def by_name(section: OffPolicySection) -> dict[str, PolicyValue]:
    return {policy.name: policy for policy in section.policies}


def known(number: float | None) -> float:
    assert number is not None
    return number


def error(policy: PolicyValue, estimator: str) -> float:
    """Of one estimator, in stars."""
    interval: Interval = getattr(policy, estimator)
    return known(interval.value) - known(policy.true_value)


def test_estimates_lie_by_the_true_value_and_above_it(section: OffPolicySection) -> None:
    """Where the log reaches; people's own knowledge of what they like, which no history shows, lifts all estimates."""
    policies = by_name(section)
    for name in TRUSTED:
        assert policies[name].warning is None
        assert [error(policies[name], one) for one in ONE_STEP] == pytest.approx([0.06] * 3, abs=0.12), name
    for name in ("popular", "random"):
        assert 0 < error(policies[name], "doubly_robust") < 0.3, name
        assert 0 < error(policies[name], "importance") < 0.3, name
    assert abs(error(policies["ideal"], "doubly_robust")) < 0.12


def test_estimates_order_policies_as_the_truth_does(section: OffPolicySection) -> None:
    """Doubly robust all pairs that truly lie a twentieth of a star apart, weighting alone those a fifth apart."""
    for estimator, apart in (("doubly_robust", 0.05), ("importance", 0.2)):
        for one in section.policies:
            for other in section.policies:
                if known(one.true_value) - known(other.true_value) >= apart:
                    found, lesser = (known(getattr(each, estimator).value) for each in (one, other))
                    assert found > lesser, (estimator, one.name, other.name)


def test_the_mean_logged_rating_is_further_from_the_truth(section: OffPolicySection) -> None:
    assert section.logged is not None
    logged = known(section.logged.value)
    for estimator, share in (("doubly_robust", 0.7), ("importance", 0.7), ("direct", 0.8)):
        errors = {policy.name: abs(error(policy, estimator)) for policy in section.policies}
        naive = {policy.name: abs(logged - known(policy.true_value)) for policy in section.policies}
        assert sum(errors.values()) < share * sum(naive.values()), estimator
        for name in set(naive) - {"as people choose"}:  # whose value is nearly the logged one
            assert errors[name] < naive[name], (estimator, name)


def test_values_of_several_steps_are_those_of_following_the_policy(section: OffPolicySection, data: Generated) -> None:
    starts = evaluated_starts(data.dataset, PARAMS)
    policies = known_policies(data)
    true = {name: followed(data, policies[name], PARAMS, starts) for name in TRUSTED}
    found = {name: known(policy.fitted_q.value) for name, policy in by_name(section).items()}
    for name in TRUSTED:
        assert -0.05 < found[name] - true[name] < 0.2, name
    for one, other in permutations(TRUSTED, 2):
        if true[one] - true[other] >= 0.05:
            assert found[one] > found[other], (one, other)


def test_warns_of_policies_that_the_log_does_not_reach(section: OffPolicySection) -> None:
    policies = by_name(section)
    contrary = policies["contrary"]  # recommends what each user likes least and hardly ever chooses
    assert contrary.warning is not None
    assert "chosen so rarely" in contrary.warning
    assert contrary.support < 0.7
    assert policies["random"].warning is not None
    assert contrary.effective_users < 0.4 * section.users < 0.8 * section.users < policies["markov"].effective_users
    assert contrary.effective_steps < 0.1 * policies["markov"].effective_steps
    assert max(abs(error(policy, "direct")) for policy in policies.values() if policy.warning is None) < 0.25
    assert abs(error(contrary, "direct")) > 0.4


def test_tells_where_the_reward_model_is_wrong_by_the_difference_from_doubly_robust(section: OffPolicySection) -> None:
    """The features know neither what a user truly likes nor what he truly dislikes; of the others they know enough."""
    bound = PARAMS.most_correction * 4.5
    for name, policy in by_name(section).items():
        correction = known(policy.correction.value)
        assert correction == pytest.approx(known(policy.doubly_robust.value) - known(policy.direct.value)), name
        wrong = policy.warning is not None and "reward model is biased" in policy.warning
        assert wrong == (name in ("ideal", "contrary")), name
        assert wrong == (abs(correction) > bound), name
        if wrong:
            assert abs(error(policy, "doubly_robust")) < abs(error(policy, "direct")) - bound / 2, name


def test_unbiased_where_people_choose_by_history_alone(data: Generated) -> None:
    """The same states, policies and models; only the logged choice is drawn from μ(a | h), the rating from the truth.

    So what is left in the tests above is people's own knowledge in their choices, not a fault of the estimators.
    """
    dataset, generator = data.dataset, torch.Generator().manual_seed(1)
    features = Features(FeatureConfig(), training_data(dataset, 250))
    fitting = fresh(dataset, dataset.last_starts("validation", 20))
    before = Histories(*dataset.histories(fitting))
    behaviour = fit_behaviour(
        features.of(before), seen_items(before.items, dataset.items), dataset.target_items(fitting)
    )
    starts = fresh(dataset, evaluated_starts(dataset, PARAMS))
    users = torch.unique_consecutive(dataset.users_of(starts), return_inverse=True)[1].numpy()
    histories = Histories(*dataset.histories(starts))
    seen, every = seen_items(histories.items, dataset.items), features.of(histories)
    log_mu = behaviour.log_probabilities(every, seen)
    chosen = torch.multinomial(log_mu.exp(), 1, generator=generator)
    place = torch.arange(len(starts)).unsqueeze(1)
    rewards = torch.from_numpy(data.rewards)[dataset.users_of(starts)]
    told = rewards.gather(1, chosen) + 2 * NOISE * torch.randn(chosen.shape, generator=generator)
    logged = LoggedSteps(
        users,
        every[place, chosen].squeeze(1).double().numpy(),
        told.squeeze(1).double().numpy(),
        np.zeros(len(users), bool),
    )
    counts = user_draws(int(users[-1]) + 1, 200, 0)
    policies = known_policies(data)
    for name in ("as people choose", "popular", "markov", "content similarity", "random"):
        items, chance = chances(policies[name].scores(histories), seen, PARAMS)
        own = (chance * (items == chosen)).sum(1) / log_mu.gather(1, chosen).squeeze(1).exp()
        expected = torch.einsum("bc,bcf->bf", chance, every[place, items]).double().numpy()
        true = logged.by_user((chance * rewards.gather(1, items)).sum(1).double().numpy()).mean()
        found = estimate(logged, own.double().numpy(), expected, counts, clip_quantile=1.0, discount=0.9, horizon=1)
        for value, low, high in (found.importance, found.doubly_robust):
            assert abs(value - true) < 0.9 * (high - low), name  # three and a half deviations
        assert found.mean_weight.value == pytest.approx(1, abs=0.25), name


def test_behaviour_policy_foresees_choices_far_better_than_popularity(section: OffPolicySection) -> None:
    assert known(section.perplexity) < 0.6 * known(section.perplexity_popularity)
    assert known(section.perplexity_popularity) < known(section.perplexity_uniform)


def test_the_section_is_plain_json_and_its_part_of_the_page_tells_all(section: OffPolicySection) -> None:
    again = OffPolicySection.model_validate(without_nan(section.model_dump(mode="json")))
    page = unescape(partial(again))
    for policy in section.policies:
        assert f"<td>{policy.name}" in page
        assert policy.warning is None or policy.warning in page
        assert f"<td>{policy.true_value:.2f}</td>" in page
    ((name, _, note, spec),) = draw(again)
    assert name == "off-policy"
    assert "Red ticks" in note
    assert "#d65f5f" in str(spec)


def test_without_truth_none_is_shown_and_without_test_users_nothing_is(
    data: Generated, tmp_path: Path, section: OffPolicySection
) -> None:
    few = OffPolicyParams(users=8, steps_per_user=4, draws=20)
    policies = {"markov": known_policies(data)["markov"]}
    found = measure_off_policy(data.dataset, policies, few)
    assert found.policies[0].true_value is None
    assert "true value" not in partial(found)
    assert "Red ticks" not in draw(found)[0][2]
    assert found == measure_off_policy(data.dataset, policies, few)
    nobody = written(tmp_path, [9, 9, 9], split=np.zeros(3, np.uint8))
    empty = measure_off_policy(nobody, {}, few)
    assert empty.policies == ()
    assert draw(empty) == []
    assert "No test or validation users" in partial(empty)


def partial(section: OffPolicySection) -> str:
    """The section's part of the page."""
    return str(render_partial("off_policy/template.html.j2", draw(section), section=section))


def test_the_size_of_blocks_does_not_matter(data: Generated, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even blocks of one step each."""
    few = PARAMS.model_copy(update={"users": 4, "steps_per_user": 5, "draws": 20})
    policies = {"random": known_policies(data)["random"]}
    whole = measure_off_policy(data.dataset, policies, few, truth=data.simulated.true_rewards)
    monkeypatch.setattr("evaluation.off_policy.estimates.CELLS_AT_ONCE", 1)
    single = measure_off_policy(data.dataset, policies, few, truth=data.simulated.true_rewards)
    one, other = whole.policies[0], single.policies[0]
    assert one.true_value == pytest.approx(known(other.true_value), abs=1e-5)
    assert one.doubly_robust.value == pytest.approx(known(other.doubly_robust.value), abs=1e-4)


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


def test_users_are_evaluated_whole(data: Generated) -> None:
    starts = evaluated_starts(data.dataset, OffPolicyParams(users=5, steps_per_user=7))
    users, number = data.dataset.users_of(starts).unique(return_counts=True)
    whole = (data.dataset.offset[users + 1] - data.dataset.offset[users] - data.dataset.frame).clamp(max=7)
    assert number.tolist() == whole.tolist()
    assert len(users) == 5
    assert set(data.dataset.user_split[users].tolist()) == {2}


def test_features_are_counted_on_whole_users_only(data: Generated) -> None:
    whole = training_data(data.dataset, 100)
    part = capped(whole, OffPolicyParams(training_events=len(whole.users) // 4))
    assert 0.15 * len(whole.users) < len(part.users) < 0.35 * len(whole.users)
    for user, number in zip(*part.users.unique(return_counts=True), strict=True):
        assert number == (whole.users == user).sum()
    assert capped(whole, OffPolicyParams()) is whole
