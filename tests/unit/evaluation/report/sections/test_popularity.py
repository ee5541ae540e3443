"""Popularity bias of methods whose bias is known."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from rankings_support import partial, small_dataset
from torch import Tensor

from evaluation.protocols.beyond_accuracy import GROUPS, ItemFacts
from evaluation.protocols.cases import Cases, fold_in_cases, mult_vae_cases, next_item_cases
from evaluation.protocols.ranking import Ranked, rank_cases
from evaluation.report.formats import without_nan
from evaluation.report.sections.popularity.charts import draw
from evaluation.report.sections.popularity.numbers import (
    PopularitySection,
    PopularityView,
    audience_of,
    measure_popularity,
    method_popularity,
)
from models.histories import Histories
from storage.dataset.reader import TransitionDataset


class Fixed:
    """The same scores for everybody."""

    def __init__(self, values: Tensor) -> None:
        self.values = values

    def scores(self, histories: Histories) -> Tensor:
        return self.values.expand(len(histories.items), -1)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> TransitionDataset:
    return small_dataset(tmp_path_factory.mktemp("data") / "t.h5")


def answers(data: TransitionDataset, cases: Cases) -> dict[str, Ranked]:
    events = torch.from_numpy(ItemFacts.of(data).events).float()
    rare = torch.arange(data.items) / 1000 - events  # the last ten items first
    return {name: rank_cases(data, Fixed(values), cases) for name, values in (("popular", events), ("rare", rare))}


def view_of(data: TransitionDataset, cases: Cases) -> PopularityView:
    items = ItemFacts.of(data)
    audience = audience_of(data, items, cases)
    methods = [
        method_popularity(items, audience, ranked, name=name, kind="baseline" if name == "popular" else "policy")
        for name, ranked in answers(data, cases).items()
    ]
    return measure_popularity(data, items, cases, audience, methods)


@pytest.fixture(scope="module")
def view(data: TransitionDataset) -> PopularityView:
    return view_of(data, fold_in_cases(data, "test"))


def test_item_groups(data: TransitionDataset, view: PopularityView) -> None:
    items = ItemFacts.of(data)
    assert [group.name for group in view.items] == list(GROUPS)
    assert [group.items for group in view.items] == np.bincount(items.group, minlength=4).tolist()
    assert view.items[0].training == pytest.approx(items.events[items.group == 0].sum() / items.events.sum())
    assert view.items[3].training == 0
    assert sum(group.sought or 0 for group in view.items) == pytest.approx(1)


def test_a_method_that_shows_the_popular_is_told_from_one_that_does_not(view: PopularityView) -> None:
    popular, rare = view.methods
    for method in view.methods:
        assert sum(share or 0 for share in method.shown.values()) == pytest.approx(1)
        assert list(method.head) == list(method.lift) == list(method.ndcg) == [group.name for group in view.users]
    assert popular.shown["head"] > 0.2
    assert rare.shown["head"] == 0
    assert rare.shown["cold"] > 0.5
    assert min(popular.lift.values()) > 0 > max(rare.lift.values())
    assert rare.cold_recall["recall@10"] > 0.9
    assert popular.cold_recall["recall@10"] < 0.1
    assert rare.cold_rank < 0.1
    assert popular.cold_rank > 0.9


def test_every_user_counts_once_however_much_they_seek(data: TransitionDataset) -> None:
    cases = next_item_cases(data, "test", per_user=20)  # of unequal numbers of cases
    items, view = ItemFacts.of(data), view_of(data, cases)
    popular, ranked = view.methods[0], answers(data, cases)["popular"]
    for place, group in enumerate(view.items):
        hits: dict[int, list[bool]] = {}
        for user, item, rank in zip(ranked.users.tolist(), ranked.items, ranked.ranks, strict=True):  # one target each
            if items.group[item] == place:
                hits.setdefault(user, []).append(bool(rank < 10))
        assert group.users == len(hits)
        assert popular.found[group.name] == pytest.approx(np.mean([np.mean(found) for found in hits.values()]))
        pooled = np.mean([hit for found in hits.values() for hit in found])
        assert group.name != "middle" or popular.found["middle"] != pytest.approx(pooled, rel=1e-3)


def test_every_mean_lies_in_its_interval(view: PopularityView) -> None:
    for method in view.methods:
        of = {"found": method.found, "cold_recall": method.cold_recall, "lift": method.lift, "ndcg": method.ndcg}
        named = {f"{field} {key}": value for field, values in of.items() for key, value in values.items()}
        for name, value in (named | {"cold_rank": method.cold_rank}).items():
            low, high = method.intervals[name]
            assert value is not None
            assert low - 1e-9 <= value <= high + 1e-9
        low, high = method.intervals["found middle"]
        assert high > low or method.found["middle"] in (0, 1)


def test_a_history_without_training_events_has_no_lift(data: TransitionDataset) -> None:
    cases = fold_in_cases(data, "test")
    items = ItemFacts.of(data)
    audience = audience_of(data, items, cases)
    first = int(np.argmin(audience.popularity))
    ranked = answers(data, cases)["popular"]
    known = audience.popularity.copy()
    known[first] = 0
    found = method_popularity(items, replace(audience, popularity=known), ranked, name="popular", kind="baseline")
    own = items.events[ranked.best[:, :10]].mean(axis=1) / audience.popularity - 1
    others = (audience.group == 0) & (np.arange(len(own)) != first)
    assert found.lift["niche"] == pytest.approx(own[others].mean())


def test_users_are_thirds_by_the_popularity_of_their_histories(data: TransitionDataset, view: PopularityView) -> None:
    sizes = [group.users for group in view.users]
    assert max(sizes) - min(sizes) <= 1
    assert [group.popularity for group in view.users] == sorted(group.popularity for group in view.users)


@pytest.mark.parametrize("make", [fold_in_cases, mult_vae_cases])
def test_histories_are_those_of_the_cases(data: TransitionDataset, make: object) -> None:
    cases = make(data, "test")  # type: ignore[operator]
    items = ItemFacts.of(data)
    audience = audience_of(data, items, cases)
    for row in range(len(cases)):
        known = cases.histories(data, torch.tensor([row])).items[0]
        place = audience.users.tolist().index(int(cases.users[row]))
        assert audience.popularity[place] == pytest.approx(items.events[known.numpy()].mean())
        assert audience.head[place] == pytest.approx((items.group[known.numpy()] == 0).mean())
        assert audience.known[row] == len(known)


def test_cold_cases_are_counted(data: TransitionDataset, view: PopularityView) -> None:
    cases = fold_in_cases(data, "test")
    events, _ = cases.target_events()
    cold = torch.from_numpy(ItemFacts.of(data).events)[data.item[events]] == 0
    assert view.cold_sought == int(cold.sum()) > 0
    assert view.cold_users == view.items[3].users == view.cold_cases  # one case a user
    assert 0 < view.cold_cases <= view.cases == len(cases)


def test_drawn_from_its_json(view: PopularityView) -> None:
    section = PopularitySection(views=(view,))
    again = PopularitySection.model_validate_json(
        json.dumps(without_nan(section.model_dump(mode="json")), allow_nan=False)
    )
    page = partial("popularity", again, draw(again))
    assert "Items without training events (cold items)" in page
    low, high = again.views[0].methods[1].intervals["cold_recall recall@10"]
    assert f"{low:.4f} – {high:.4f}" in page
    for name in ("shown", "head", "ndcg", "cold"):
        assert f'id="chart-popularity-{name}-test-fold-in"' in page
