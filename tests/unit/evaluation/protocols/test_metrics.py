"""Accuracy: small cases by hand, random ones against an independent library and against the papers' own definitions."""

from typing import Any

import ir_measures
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from rankings_support import random_ranked

from evaluation.protocols import metrics
from evaluation.protocols.cases import Protocol
from evaluation.protocols.metrics import (
    COMPARED,
    KS,
    METRICS,
    Metric,
    Targets,
    accuracy_per_user,
    columns_of,
    mult_vae_per_user,
)
from evaluation.protocols.per_user import PerUser, mean_by_user, means
from evaluation.protocols.ranking import Ranked

MEASURES = {"ndcg": "nDCG", "recall": "R", "hit": "Success", "mrr": "RR"}


def ranked(users: list[int], ranks: list[list[int]], liked: list[list[bool]]) -> Ranked:
    flat = [rank for case in ranks for rank in case]
    return Ranked(
        np.array(users, dtype=np.int64),
        np.cumsum([0, *map(len, ranks)]),
        np.arange(len(flat)),
        np.array([one for case in liked for one in case], dtype=bool),
        np.array(flat, dtype=np.int64),
        np.empty((len(users), 0), dtype=np.int64),
    )


def test_by_hand() -> None:
    found = accuracy_per_user(ranked([7, 3, 7], [[0, 9, 30], [2], [4]], [[False, True, False], [False], [True]]))
    assert found.users.tolist() == [3, 7]
    ideal = 1 + 1 / np.log2(3) + 1 / np.log2(4)
    value = {name: found.column(name).tolist() for name in found.names}
    assert value["ndcg@10"] == pytest.approx([1 / 2, ((1 + 1 / np.log2(11)) / ideal + 1 / np.log2(6)) / 2])
    assert value["ndcg@1"] == pytest.approx([0, 1 / 2])
    assert value["recall@10"] == pytest.approx([1, (2 / 3 + 1) / 2])
    assert value["recall@5"] == pytest.approx([1, (1 / 3 + 1) / 2])
    assert value["hit@1"] == [0, 0.5]
    assert value["mrr@5"] == pytest.approx([1 / 3, (1 + 1 / 5) / 2])
    assert value["mrr@1"] == [0, 0.5]
    assert value["mrr@100_liked"] == pytest.approx([np.nan, (1 / 10 + 1 / 5) / 2], nan_ok=True)
    assert value["ndcg@10_liked"] == pytest.approx([np.nan, (1 / np.log2(11) + 1 / np.log2(6)) / 2], nan_ok=True)
    assert means(found)["hit@10_liked"] == 1  # over the user who liked something


def test_users_without_liked_items_are_left_out_of_liked_means() -> None:
    found = means(accuracy_per_user(ranked([1, 2], [[0], [0]], [[False], [False]])))
    assert found["ndcg@10"] == 1
    assert np.isnan(found["ndcg@10_liked"])


def test_no_cases() -> None:
    found = accuracy_per_user(ranked([], [], []))
    of_cases = [name for name, metric in METRICS.items() if metric.of == "cases"]
    assert found.values.shape == (0, 2 * len(of_cases) * len(KS))
    assert np.isnan(means(found)["ndcg@10"])
    assert mult_vae_per_user(ranked([], [], [])).values.shape == (0, 3)


def elsewhere(answers: Ranked, orders: NDArray[np.int64], liked: bool) -> dict[str, NDArray[np.float64]]:
    """Metrics (T,) by name as `ir_measures` has them, from whole rankings; NaN where a case has no targets."""
    cases = np.repeat(np.arange(len(answers.users)), np.diff(answers.offset))
    targets: dict[str, dict[str, int]] = {}
    for case, item, counts in zip(cases.tolist(), answers.items.tolist(), answers.positive.tolist(), strict=True):
        if counts or not liked:
            targets.setdefault(str(case), {})[str(item)] = 1
    run = {
        str(case): {str(item): float(len(order) - rank) for rank, item in enumerate(order.tolist())}
        for case, order in enumerate(orders)
    }
    names = {ir_measures.parse_measure(f"{theirs}@{k}"): f"{ours}@{k}" for ours, theirs in MEASURES.items() for k in KS}
    found = {name: np.full(len(orders), np.nan) for name in names.values()}
    for one in ir_measures.iter_calc(list(names), targets, run):
        if one.query_id in targets:
            found[names[one.measure]][int(one.query_id)] = one.value
    return found


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), most_targets=st.sampled_from([1, 5, 130]))
def test_agrees_with_ir_measures(seed: int, most_targets: int) -> None:
    answers, orders = random_ranked(seed, most_targets=most_targets)
    ours = accuracy_per_user(answers)
    theirs = elsewhere(answers, orders, liked=False)
    theirs |= {f"{name}_liked": values for name, values in elsewhere(answers, orders, liked=True).items()}
    assert set(theirs) <= set(ours.names)
    for name, values in theirs.items():
        expected = [_nanmean(values[answers.users == user]) for user in np.unique(answers.users)]
        np.testing.assert_allclose(ours.column(name), expected, rtol=1e-6, atol=1e-9, err_msg=name)


def _nanmean(values: NDArray[np.float64]) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_mult_vae_protocol_is_the_papers(seed: int) -> None:
    """Against Recall@R and NDCG@R of scores and held-out matrix, written down from Liang et al. 2018."""
    answers, orders = random_ranked(seed, users=1000)
    ours = mult_vae_per_user(answers)
    published = np.stack([ours.column(name) for name in ("recall@20", "recall@50", "ndcg@100")], axis=1)
    expected: dict[int, list[Any]] = {}
    for case, user in enumerate(answers.users.tolist()):
        held_out = set(answers.items[answers.offset[case] : answers.offset[case + 1]].tolist())
        hits = np.array([item in held_out for item in orders[case].tolist()])
        recalls = [hits[:at].sum() / min(at, len(held_out)) for at in (20, 50)]
        discount = 1 / np.log2(np.arange(2, 102))
        ndcg = (hits[:100] * discount).sum() / discount[: min(len(held_out), 100)].sum()
        expected.setdefault(user, []).append([*recalls, ndcg])
    rows = [np.mean(expected[user], axis=0) for user in ours.users.tolist()]
    np.testing.assert_allclose(published, rows, rtol=1e-9)


def test_mean_by_user_leaves_nan_out() -> None:
    found = mean_by_user(
        np.array([5, 2, 5, 2]), {"a": np.array([1.0, np.nan, 3.0, np.nan]), "b": np.array([1.0, 2.0, np.nan, 4.0])}
    )
    assert found.users.tolist() == [2, 5]
    np.testing.assert_array_equal(found.values, [[np.nan, 3], [2, 1]])


def test_only_metrics_of_the_same_users_stand_beside_one_another() -> None:
    one, other = (PerUser(np.array([user]), (name,), np.ones((1, 1))) for user, name in ((1, "a"), (2, "b")))
    assert one.beside(PerUser(np.array([1]), ("b",), np.zeros((1, 1)))).column("b").tolist() == [0]
    with pytest.raises(ValueError, match="same users"):
        one.beside(other)


@pytest.mark.parametrize("protocol", COMPARED)
def test_the_main_table_begins_with_the_deciding_metric_and_ends_with_positive_items(protocol: Protocol) -> None:
    columns = columns_of(protocol)
    assert columns[0] == COMPARED[protocol][0]
    assert set(COMPARED[protocol]) <= set(columns)
    assert len(columns) == len(set(columns)) == sum(len(one.columns.get(protocol, ())) for one in METRICS.values())
    positive = [name.endswith("_liked") for name in columns]
    assert positive == sorted(positive)


def test_an_entry_of_the_registry_is_measured_named_and_formatted(monkeypatch: pytest.MonkeyPatch) -> None:
    def precision(targets: Targets, k: int) -> NDArray[np.float64]:
        return targets.total(k) / k

    added = Metric("Precision", precision, columns={"next-item": ("10_liked", "5")}, digits=2)
    monkeypatch.setattr(metrics, "METRICS", METRICS | {"precision": added})
    found = accuracy_per_user(ranked([7], [[0, 9, 30]], [[False, True, False]]))
    assert found.column("precision@10").tolist() == [0.2]
    assert found.column("precision@10_liked").tolist() == [0.1]
    assert [name for name in columns_of("next-item") if "precision" in name] == ["precision@5", "precision@10_liked"]
    assert metrics.label("precision@10_liked") == "Precision@10, rated 4+"
    assert metrics.formatted("precision@10", 0.2) == "0.20"
    assert metrics.formatted("precision@10", None) == "–"
