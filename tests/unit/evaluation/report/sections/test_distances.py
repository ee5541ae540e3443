import json

import numpy as np
import pytest
import torch
from unit.evaluation.report.sections.sections_support import as_json, drawn, rendered

from evaluation.protocols.cases import next_item_cases
from evaluation.protocols.distances import DISTANCES
from evaluation.report.sections.distances.charts import draw
from evaluation.report.sections.distances.numbers import WAYS, DistancesSection, latest_of_users, measure_distances
from models.histories import Histories, Scorer
from models.nearest import NearestItems
from storage.dataset.reader import TransitionDataset


class Latest:
    """Acts as the latest items do on average, and ranks by cosine."""

    def __init__(self, embedding: torch.Tensor) -> None:
        self.embedding, self.nearest = embedding, NearestItems(embedding, "cosine")

    def act(self, histories: Histories) -> torch.Tensor:
        return self.embedding[histories.last(3).items].mean(1)

    def scores(self, histories: Histories) -> torch.Tensor:
        return self.nearest.scores(self.act(histories))


class Always(Latest):
    """Answers everybody with the same action."""

    def act(self, histories: Histories) -> torch.Tensor:
        return self.embedding[3].repeat(len(histories.items), 1)


class Popular:
    """Ranks items in the catalogue's order."""

    def __init__(self, items: int) -> None:
        self.items = items

    def scores(self, histories: Histories) -> torch.Tensor:
        return torch.arange(self.items, 0.0, -1.0).repeat(len(histories.items), 1)


@pytest.fixture
def section(data: TransitionDataset) -> DistancesSection:
    policies = {"latest": Latest(data.embedding), "always": Always(data.embedding)}
    scorers: dict[str, Scorer] = {**policies, "popularity": Popular(data.items)}
    return measure_distances(data, policies, scorers, baselines=["popularity"], most=40)


def test_every_policy_is_ranked_by_every_distance_and_every_method_is_there(section: DistancesSection) -> None:
    assert [policy.policy for policy in section.policies] == ["latest", "always"]
    for policy in section.policies:
        assert tuple(policy.metrics) == WAYS == ("own", *DISTANCES)
        assert policy.metrics["own"] == policy.metrics["cosine"]  # so it ranks by itself
        overlap = np.array(policy.overlap)
        np.testing.assert_allclose(overlap, overlap.T)
        np.testing.assert_allclose(np.diag(overlap), 1)
        assert overlap[WAYS.index("own"), WAYS.index("cosine")] == 1
        assert overlap.min() < 1
    assert [(method.method, method.baseline) for method in section.methods] == [
        ("latest", False),
        ("always", False),
        ("popularity", True),
    ]


def test_means_over_users_have_intervals_and_what_is_of_all_lists_has_none(section: DistancesSection) -> None:
    for policy in section.policies:
        for way in section.ways:
            assert set(policy.intervals[way]) == {"ndcg@10", "recall@10"}
            for name, (low, high) in policy.intervals[way].items():
                assert low < high
                assert low <= policy.metrics[way][name] <= high
    latest = section.methods[0]
    for name in ("between_users", "between_samples"):
        low, high = latest.intervals[name]
        assert low < getattr(latest, name) < high
    points, _, bars = (spec for *_, spec in draw(section))
    (rows,) = bars["datasets"].values()
    assert rows[0]["low"] < rows[0]["value"] < rows[0]["high"]
    (rows,) = points["datasets"].values()
    for row in rows:  # a panel without a single end makes the browser complain
        assert (row["interval"] == "none") is (row["metric"] != "NDCG@10")
        assert (row["low"] == row["value"] == row["high"]) or row["interval"] != "none"


def test_who_tells_everybody_the_same_differs_least(section: DistancesSection) -> None:
    latest, always, popularity = section.methods
    assert latest.between_users > always.between_users
    assert latest.distinct >= always.distinct
    assert latest.between_samples > 0
    assert always.between_samples == popularity.between_samples == 0


def test_cases_are_as_many_as_said(data: TransitionDataset, section: DistancesSection) -> None:
    assert section.cases == 40
    assert section.users == section.distinct_users == len(next_item_cases(data, "test", 20, 40, 0).users.unique())
    assert section.left_out == (0, 1, 2)


def test_the_latest_case_of_each_user_is_taken(data: TransitionDataset) -> None:
    cases = next_item_cases(data, "test", 3)
    rows = latest_of_users(cases)
    assert len(rows) == len(cases.users.unique())
    assert (cases.known[rows, 1] + 1 == data.offset[cases.users[rows] + 1]).all()


def test_equal_seeds_give_equal_sections(data: TransitionDataset) -> None:
    policy = {"latest": Latest(data.embedding)}
    one, same, other = (measure_distances(data, policy, dict(policy), most=30, seed=seed) for seed in (0, 0, 1))
    assert one == same != other


def test_json_holds_only_numbers_and_makes_the_same_section_again(section: DistancesSection) -> None:
    again = DistancesSection.model_validate(json.loads(json.dumps(json.loads(as_json(section)), sort_keys=True)))
    assert again == section
    assert draw(again) == draw(section)


def test_charts_are_drawn_and_the_part_of_the_page_shows_them(section: DistancesSection) -> None:
    found = draw(section)
    assert [name for name, *_ in found] == ["distance-metrics", "distance-overlap", "list-diversity"]
    drawn(found)
    page = rendered("distances", section, found)
    for name, *_ in found:
        assert f'id="chart-{name}"' in page
    assert f"{section.policies[0].metrics['manhattan']['ndcg@10']:.4f}" in page
    assert f"{section.policies[0].intervals['manhattan']['ndcg@10'][1]:.4f}" in page
    assert f"of {20 * section.distinct_users} places" in page


def test_a_single_user_has_nobody_to_differ_from(data: TransitionDataset) -> None:
    policy = {"latest": Latest(data.embedding)}
    section = measure_distances(data, policy, dict(policy), most=1)
    assert section.methods[0].between_users is None
    as_json(section)
    drawn(draw(section))
    assert "–" in rendered("distances", section, draw(section))


def test_without_held_out_users_the_section_says_so(data: TransitionDataset) -> None:
    data.head.user_split[:] = 0
    policy = {"latest": Latest(data.embedding)}
    section = measure_distances(data, policy, dict(policy), most=40)
    assert (section.cases, section.policies, section.methods, draw(section)) == (0, (), (), [])
    assert "nothing to rank" in rendered("distances", section, [])
