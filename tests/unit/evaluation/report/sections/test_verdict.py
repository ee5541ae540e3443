"""The verdict says what the tests say, in one plain sentence."""

import re

import pytest

from evaluation.report.sections.methods.comparisons import Comparison
from evaluation.report.sections.methods.numbers import (
    EvaluatedMethod,
    MethodResult,
    MethodsSection,
    choose_challenger,
)
from evaluation.report.sections.verdict.charts import draw
from evaluation.report.sections.verdict.numbers import measure_verdict


def result(name: str, kind: str, ndcg: float, split: str = "test") -> MethodResult:
    metrics = {"ndcg@10": ndcg, "hit@10": 2 * ndcg, "ndcg@10_liked": ndcg, "coverage@10": 0.25}
    return MethodResult(
        name=name, split=split, protocol="next-item", kind=kind, metrics=metrics, users=500, cases=900,  # type: ignore[arg-type]
    )  # fmt: skip


def section(results: list[MethodResult], p: dict[str, float], challenger: str = "td3") -> MethodsSection:
    own = next(one for one in results if one.name == challenger)
    comparisons = [
        Comparison(
            challenger=challenger, other=one.name, split="test", protocol="next-item", metric="ndcg@10",
            difference=difference, low=difference - 0.01, high=difference + 0.01, p=p[one.name] / 2, p_adjusted=p[one.name],
        )
        for one in results
        if one.name in p and one.split == "test"
        for difference in [(own.metrics["ndcg@10"] or 0) - (one.metrics["ndcg@10"] or 0)]
    ]  # fmt: skip
    return MethodsSection(challenger=challenger, results=tuple(results), comparisons=tuple(comparisons))


BASE = [result("td3", "policy", 0.2), result("ease", "baseline", 0.15), result("popularity", "baseline", 0.1)]


@pytest.mark.parametrize(
    ("own", "p", "outcome", "expected"),
    [
        (0.2, 0.01, "better", r"^td3 is better than the best baseline \(ease\) at ranking the next choices of 500 test users \(NDCG"),
        (0.16, 0.4, "undecided", r"cannot be distinguished from the best baseline \(ease\)"),
        (0.05, 0.001, "worse", r"is worse than the best baseline \(ease\) and popularity"),
    ],
)  # fmt: skip
def test_headline_is_honest(own: float, p: float, outcome: str, expected: str) -> None:
    found = measure_verdict(section([result("td3", "policy", own), *BASE[1:]], {"ease": p, "popularity": 0.001}))
    assert re.search(expected, found.headline)
    assert found.outcome == outcome
    assert [one.role for one in found.opponents] == ["best baseline", "popularity"]
    assert found.opponents[0].difference == pytest.approx(own - 0.15)
    assert found.facts[0].value == f"{100 * (own / 0.15 - 1):+.0f} %"
    assert any("may be chance" in one for one in found.cautions) is (outcome == "undecided")


def test_the_champion_comes_first_and_decides_with_the_best_baseline() -> None:
    results = [*BASE, result("champion", "champion", 0.21), result("ddpg", "policy", 0.19)]
    found = measure_verdict(section(results, {"ease": 0.01, "popularity": 0.01, "champion": 0.02, "ddpg": 0.5}))
    assert [one.role for one in found.opponents] == ["champion", "runner-up", "best baseline", "popularity"]
    assert found.outcome == "worse"
    assert found.headline.startswith(
        "td3 is worse than the champion and is better than the best baseline (ease) and cannot"
    )
    assert [chart[0] for chart in draw(found)] == ["verdict"]


def test_the_runner_up_alone_does_not_spoil_a_verdict() -> None:
    found = measure_verdict(
        section([*BASE, result("ddpg", "policy", 0.19)], {"ease": 0.01, "popularity": 0.01, "ddpg": 0.5})
    )
    assert found.outcome == "better"
    assert "cannot be distinguished from the runner-up (ddpg)" in found.headline


@pytest.mark.parametrize(("p", "told"), [(0.01, True), (0.3, False)])
@pytest.mark.parametrize(
    ("split", "protocol", "metric", "words"),
    [
        ("time", "next-item", "ndcg@10", "the item chosen next (training users, after the time cut)"),
        ("test", "fold-in", "ndcg@10", "the rest of a history (test users)"),
        ("test", "mult-vae", "ndcg@100", "where order does not count (test users)"),
    ],
)
def test_a_challenger_that_loses_by_another_question_is_told(
    split: str, protocol: str, metric: str, words: str, p: float, told: bool
) -> None:
    there = [
        one.model_copy(update={"split": split, "protocol": protocol, "metrics": {metric: value}})
        for one, value in zip(BASE, (0.1, 0.3, 0.2), strict=True)
    ]
    base = section(BASE, {"ease": 0.01, "popularity": 0.01})
    tests = [
        base.comparisons[0].model_copy(
            update={
                "split": split,
                "protocol": protocol,
                "metric": metric,
                "other": other,
                "difference": -0.1,
                "p_adjusted": p,
            }
        )
        for other in ("ease", "popularity")
    ]
    methods = base.model_copy(update={"results": (*base.results, *there), "comparisons": (*base.comparisons, *tests)})
    said = [one for one in measure_verdict(methods).cautions if "In another evaluation" in one]
    assert bool(said) is told
    if told:
        assert words in said[0]
        assert "td3 is worse than 2 of 2 methods, most of all ease" in said[0]
        assert "0.1000 against 0.3000" in said[0]


def test_without_test_users_there_is_no_verdict() -> None:
    found = measure_verdict(MethodsSection(challenger=None, results=()))
    assert found.headline == "There are no test users to evaluate on."
    assert (found.outcome, found.opponents, draw(found)) == (None, (), [])


def test_the_challenger_is_chosen_on_validation_users() -> None:
    from evaluation.protocols.per_user import PerUser

    def scored(name: str, kind: str, ndcg: float, split: str) -> EvaluatedMethod:
        import numpy as np

        return EvaluatedMethod(result(name, kind, ndcg, split), PerUser(np.empty(0, np.int64), (), np.empty((0, 0))))

    both = [
        scored("a", "policy", 0.3, "test"), scored("b", "policy", 0.1, "test"), scored("e", "baseline", 0.9, "test"),
        scored("a", "policy", 0.1, "validation"), scored("b", "policy", 0.2, "validation"), scored("e", "baseline", 0.9, "validation"),
    ]  # fmt: skip
    assert choose_challenger(both) == "b"
    assert choose_challenger([one for one in both if one.result.kind == "baseline"]) is None
