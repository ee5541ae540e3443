"""The methods section: evaluated on a real dataset, compared, drawn from its JSON alone."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from rankings_support import partial, small_dataset
from torch import Tensor
from unit.storage.dataset.transitions_support import written

from evaluation.protocols.beyond_accuracy import ItemFacts
from evaluation.protocols.cases import Cases, fold_in_cases, mult_vae_cases, next_item_cases
from evaluation.protocols.metrics import COMPARED, KS, LIST_TABLE, METRICS, columns_of
from evaluation.protocols.ranking import rank_cases
from evaluation.report.formats import without_nan
from evaluation.report.sections.methods.charts import draw
from evaluation.report.sections.methods.comparisons import compare_methods
from evaluation.report.sections.methods.numbers import (
    Cost,
    EvaluatedMethod,
    Kind,
    MethodsSection,
    evaluate_method,
    measure_methods,
)
from models.histories import Histories
from storage.dataset.reader import TransitionDataset


class ByNumber:
    """Scores items by their index, the lowest best, with noise."""

    def __init__(self, items: int, noise: float) -> None:
        generator = torch.Generator().manual_seed(0)
        self.values = -torch.arange(items).float() + noise * torch.randn(items, generator=generator)

    def scores(self, histories: Histories) -> Tensor:
        return self.values.expand(len(histories.items), -1)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> TransitionDataset:
    return small_dataset(tmp_path_factory.mktemp("data") / "t.h5")


def evaluated_on(data: TransitionDataset, cases: Cases) -> list[EvaluatedMethod]:
    found = []
    for name, noise in (("keen", 0.0), ("dull", 30.0), ("popularity", 1e4)):
        ranked = rank_cases(data, ByNumber(data.items, noise), cases)
        kind: Kind = "baseline" if name == "popularity" else "policy"
        found.append(evaluate_method(ItemFacts.of(data), ranked, cases, name, kind, Cost(fit_seconds=1.5)))
    return found


@pytest.fixture(scope="module")
def section(data: TransitionDataset) -> MethodsSection:
    kinds = [next_item_cases(data, "test", 5), fold_in_cases(data, "test"), mult_vae_cases(data, "test")]
    return measure_methods([one for cases in kinds for one in evaluated_on(data, cases)], "keen")


def test_results_have_every_metric_of_their_protocol(section: MethodsSection) -> None:
    evaluated = [one for one in section.results if one.kind != "published"]
    assert len(evaluated) == 9
    for one in evaluated:
        wanted = {*LIST_TABLE, *columns_of(one.protocol), *COMPARED[one.protocol]}
        assert wanted <= set(one.metrics)
        for name, (low, high) in one.intervals.items():
            value = one.metrics[name]
            assert value is not None
            assert low <= value <= high
        assert one.users
        assert one.cases
    next_item = evaluated[0].metrics
    names = {
        f"{name}@{k}{suffix}"
        for name, metric in METRICS.items()
        for suffix in (("", "_liked") if metric.of == "cases" else ("",))
        for k in KS
        if k >= metric.from_k
    }
    assert set(next_item) == names
    assert next_item["hit@10"] == next_item["recall@10"]
    assert not {"coverage@10", "gini@10"} & set(evaluated[0].intervals)


def test_comparisons_are_of_pairs_and_tell_better_from_alike(section: MethodsSection) -> None:
    found = {(one.protocol, one.metric, one.other): one for one in section.comparisons}
    assert {(protocol, metric) for protocol, metric, _ in found} == {
        (protocol, metric) for protocol, metrics in COMPARED.items() for metric in metrics
    }
    one = found["fold-in", "ndcg@10", "popularity"]
    values = {each.name: each.metrics["ndcg@10"] for each in section.results if each.protocol == "fold-in"}
    assert one.difference == pytest.approx(values["keen"] - values["popularity"])
    assert one.low <= one.difference <= one.high
    assert one.outcome == "better"
    assert one.p <= one.p_adjusted


def test_leave_one_out_stands_beside_published_numbers(tmp_path: Path) -> None:
    left_out = written(tmp_path, [30] * 12, mode="leave-one-out", split=np.zeros(12, np.uint8), time_cut=1000)
    found = evaluated_on(left_out, next_item_cases(left_out, "test", 5))
    section = measure_methods(found, "keen", mode=left_out.head.mode)
    assert [(table.split, table.protocol) for table in section.tables()] == [("test", "next-item")]
    published = {one.name: one.metrics["ndcg@10"] for one in section.tables()[0].published}
    assert published["SASRec, cross-entropy (published)"] == 0.1821
    page = partial("methods", section, draw(section))
    assert "Every user is a test user" in page
    assert "published, on ML-1M" in page
    assert "Every user is a test user" not in partial("methods", section.model_copy(update={"mode": "users"}), [])


def test_nothing_is_tested_on_the_users_who_chose(data: TransitionDataset) -> None:
    found = {
        split: measure_methods(evaluated_on(data, next_item_cases(data, split, 3)), "keen").comparisons
        for split in ("test", "validation")
    }
    assert found["test"]
    assert not found["validation"]


def test_the_best_policy_is_compared_with_the_best_baseline_by_the_first_metric(data: TransitionDataset) -> None:
    group = evaluated_on(data, mult_vae_cases(data, "test"))[::-1]  # the best last
    found = measure_methods(group, "keen")
    values = {(one.kind, one.name): one.metrics["ndcg@100"] or 0 for one in found.results if one.kind != "published"}
    policy, baseline = (
        max((key for key in values if key[0] == kind), key=values.__getitem__) for kind in ("policy", "baseline")
    )
    (best,) = found.best
    assert (best.metric, best.challenger, best.other) == ("ndcg@100", policy[1], baseline[1])
    assert best.difference == pytest.approx(values[policy] - values[baseline])
    other = next(name for kind, name in values if kind == "policy" and name != policy[1])
    assert measure_methods(group, other).best == (best,)  # whoever the challenger is
    assert measure_methods([one for one in group if one.result.kind == "policy"], "keen").best == ()


def test_a_method_is_no_better_than_itself(data: TransitionDataset) -> None:
    keen = evaluated_on(data, fold_in_cases(data, "test"))[0]
    for one in compare_methods(keen, [keen]):
        assert (one.difference, one.p, one.outcome) == (0, 1, "no difference shown")


def test_other_users_are_refused(data: TransitionDataset) -> None:
    keen, others = (evaluated_on(data, fold_in_cases(data, split))[0] for split in ("test", "validation"))
    with pytest.raises(ValueError, match="same users"):
        compare_methods(keen, [others])


def test_published_numbers_stand_only_in_the_mult_vae_table_and_never_are_best(section: MethodsSection) -> None:
    for table in section.tables():
        assert bool(table.published) == (table.protocol == "mult-vae")
        assert all(row.source and not table.is_best(row, "ndcg@100") for row in table.published)
        for rows in (table.rows, table.published):
            values = [row.metrics[table.first] or 0 for row in rows]
            assert values == sorted(values, reverse=True)


def test_best_is_the_least_where_less_is_better(section: MethodsSection) -> None:
    table = section.tables()[0]
    ginis = [row.metrics["gini@10"] for row in table.rows]
    assert [table.is_best(row, "gini@10") for row in table.rows] == [value == min(ginis) for value in ginis]
    assert not any(table.is_best(row, "novelty@10") for row in table.rows)


def test_drawn_from_its_json(section: MethodsSection) -> None:
    dumped = json.dumps(without_nan(section.model_dump(mode="json")), allow_nan=False)
    again = MethodsSection.model_validate_json(dumped)
    page = partial("methods", again, draw(again))
    assert page == partial("methods", again, draw(again))
    assert "Mult-VAE (published)" in page
    assert "Liang et al. 2018, table 2, ML-20M" in page
    assert 'id="chart-methods-curves-test-next-item"' in page
    assert 'id="chart-methods-differences-test-mult-vae"' in page
    assert "NDCG@10, rated 4+" in page
    assert "Counts each item&#39;s training events." in page  # how the baseline of these methods works
    ids = [name for name, *_ in draw(again)]
    assert len(ids) == len(set(ids)) == 5


def test_intervals_do_not_depend_on_the_run(data: TransitionDataset) -> None:
    one, other = (evaluated_on(data, next_item_cases(data, "test", 3))[0].result for _ in range(2))
    assert one == other
    assert np.isfinite(list(one.intervals.values())).all()
