"""Coverage, Gini, novelty and diversity, against their definitions written out."""

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import torch
from rankings_support import random_ranked, small_dataset
from scipy.spatial.distance import cosine

from evaluation.protocols.beyond_accuracy import (
    GROUPS,
    ItemFacts,
    coverage,
    exposure,
    gini,
    item_groups,
)
from evaluation.protocols.metrics import catalogue_metrics, lists_per_user
from evaluation.protocols.ranking import Ranked

RNG = np.random.default_rng(3)


def facts(items: int = 150) -> ItemFacts:
    unit = torch.from_numpy(RNG.normal(size=(items, 6)).astype(np.float32))
    unit = torch.cat((torch.nn.functional.normalize(unit, dim=1), torch.zeros(1, 6)))
    events = RNG.integers(0, 50, items)
    return ItemFacts(events, item_groups(events), np.append(RNG.random(items) * 10, 0), unit)


def test_lists_against_their_definitions() -> None:
    items = facts()
    ranked, _ = random_ranked(0, cases=20)
    found = lists_per_user(ranked, items)
    assert [name for name in found.names if name.startswith("ild")] == [f"ild@{k}" for k in (5, 10, 20, 50, 100)]
    for user in found.users.tolist():
        mine = ranked.best[ranked.users == user]
        row = found.users.tolist().index(user)
        for k in (1, 5, 10, 100):
            novelty = np.mean([items.information[best[:k]].mean() for best in mine])
            assert found.column(f"novelty@{k}")[row] == pytest.approx(novelty)
        for k in (5, 20):
            vectors = items.unit.double().numpy()
            distances = [
                np.mean([cosine(vectors[a], vectors[b]) for a, b in combinations(best[:k], 2)]) for best in mine
            ]
            assert found.column(f"ild@{k}")[row] == pytest.approx(np.mean(distances), abs=1e-5)


def test_short_lists_are_evaluated_by_what_they_hold() -> None:
    items = facts(4)
    best = np.array([[2, 0, -1, -1, -1], [3, -1, -1, -1, -1], [-1, -1, -1, -1, -1]])
    nothing = np.empty(0, dtype=np.int64)
    found = lists_per_user(Ranked(np.arange(3), np.zeros(4, int), nothing, nothing.astype(bool), nothing, best), items)
    information = [items.information[[2, 0]].mean(), items.information[3], np.nan]
    np.testing.assert_allclose(found.column("novelty@5"), information)
    alike = float(items.unit[2] @ items.unit[0])
    np.testing.assert_allclose(found.column("ild@5"), [1 - alike, np.nan, np.nan], atol=1e-6)
    assert found.names == ("novelty@1", "novelty@5", "ild@5")
    assert coverage(best, 4) == 3 / 4
    assert exposure(best, 4).tolist() == [1, 0, 1, 1]


def test_catalogue_metrics_against_their_definitions() -> None:
    ranked, _ = random_ranked(1, cases=7)
    found = catalogue_metrics(ranked.best, 150)
    for k in (1, 5, 10, 20, 50, 100):
        shown = np.bincount(ranked.best[:, :k].ravel(), minlength=150)
        assert found[f"coverage@{k}"] == (shown > 0).mean() == coverage(ranked.best[:, :k], 150)
        by_pairs = np.abs(shown[:, None] - shown[None]).mean() / (2 * shown.mean())
        assert found[f"gini@{k}"] == pytest.approx(by_pairs)


def test_gini_at_its_ends() -> None:
    assert gini(np.full(10, 7)) == pytest.approx(0)
    assert gini(np.eye(1, 10, dtype=np.int64)[0]) == pytest.approx(0.9)
    assert np.isnan(gini(np.zeros(3, dtype=np.int64)))


def test_groups_by_shares_of_events() -> None:
    # Of 100 events; before the fives lie 85 of them, before the last ten 75.
    events = np.array([0, 15, 3, 30, 10, 10, 10, 10, 5, 5, 2, 0])
    assert [GROUPS[place] for place in item_groups(events)] == [
        "cold", "middle", "tail", "head", "middle", "middle", "middle", "middle", "tail", "tail", "tail", "cold",
    ]  # fmt: skip
    assert (item_groups(np.zeros(3, dtype=np.int64)) == GROUPS.index("cold")).all()


def test_facts_come_from_training_events(tmp_path: Path) -> None:
    data = small_dataset(tmp_path / "t.h5")
    items = ItemFacts.of(data)
    expected = np.bincount(data.training_events()[1].numpy(), minlength=data.items)
    assert (items.events == expected).all()
    assert (items.group[-10:] == GROUPS.index("cold")).all()
    total = expected.sum() + data.items
    np.testing.assert_allclose(items.information[:-1], -np.log2((expected + 1) / total))
    np.testing.assert_allclose(items.unit[:-1].norm(dim=1), 1, rtol=1e-5)
    assert items.information[-1] == items.unit[-1].norm() == 0
