"""Three questions: who ranks next items best, who where order does not count and later, whose return is highest."""

import pytest

from evaluation.report.sections.environment.numbers import EnvironmentSection, MethodReturn
from evaluation.report.sections.methods.comparisons import Comparison
from evaluation.report.sections.methods.numbers import MethodResult, MethodsSection
from evaluation.report.sections.verdict.answers import NEXT, ORDER, RETURN, measure_answers

CASES = [("test", "next-item"), ("test", "fold-in"), ("time", "next-item"), ("test", "mult-vae")]


def methods(difference: float, p: float, users: int = 10) -> MethodsSection:
    """A policy that differs from the best baseline by the same everywhere."""
    results, best = [], []
    for split, protocol in CASES:
        metric = "ndcg@100" if protocol == "mult-vae" else "ndcg@10"
        where = {"split": split, "protocol": protocol}
        results += [
            MethodResult(name=name, kind=kind, users=users, metrics={metric: value}, **where)  # type: ignore[arg-type]
            for name, kind, value in (("td3", "policy", 0.2 + difference), ("ease", "baseline", 0.2))
        ]
        ends = {"low": difference - 0.01, "high": difference + 0.01, "p": p / 2, "p_adjusted": p}
        best.append(
            Comparison(challenger="td3", other="ease", metric=metric, difference=difference, **where, **ends)  # type: ignore[arg-type]
        )
    return MethodsSection(challenger="td3", results=tuple(results), best=tuple(best))


def returns(low: float, high: float) -> EnvironmentSection:
    gain = {"gain": (low + high) / 2, "gain_low": low, "gain_high": high}
    policy = MethodReturn(name="iql", kind="policy", value=55.0, low=50, high=60, length=20, ndcg=0.091, **gain)
    other = MethodReturn(name="markov", kind="baseline", value=34.0, low=30, high=38, length=12)
    return EnvironmentSection(
        users=100, horizon=40, methods=(policy, other), best_policy="iql", best_baseline="markov", settings=(), price=0.5
    )  # fmt: skip


@pytest.mark.parametrize(
    ("difference", "p", "outcome", "words", "winner"),
    [
        (0.05, 0.01, "better", "td3 is better than the best baseline, ease", "td3"),
        (0.05, 0.06, "undecided", "td3 and the best baseline, ease, cannot be distinguished", "undecided"),
        (-0.05, 0.01, "worse", "the baseline ease is better than the best policy, td3", "the baseline ease"),
    ],
)
def test_a_question_is_answered_by_the_test_of_its_cases(
    difference: float, p: float, outcome: str, words: str, winner: str
) -> None:
    nearest, order, _ = measure_answers(methods(difference, p), None)
    assert (nearest.question, order.question) == (NEXT, ORDER)
    (row,) = nearest.rows
    assert (row.outcome, row.p, row.policy_value) == (outcome, p, 0.2 + difference)
    assert nearest.sentence == (
        f"{words} (NDCG@10 {0.2 + difference:.4f} against 0.2000; {difference:+.4f}, 95 % interval {difference - 0.01:+.4f} to "
        f"{difference + 0.01:+.4f})."
    )
    assert [one.metric for one in order.rows] == ["NDCG@100", "NDCG@10", "NDCG@10"]
    assert order.sentence == (
        f"{winner} (test users: Mult-VAE protocol); {winner} (test users: the rest of a history); "
        f"{winner} (training users, after the time cut: the next item)."
    )


@pytest.mark.parametrize(
    ("low", "high", "outcome"), [(18.0, 24.0, "better"), (-1.0, 24.0, "undecided"), (-9.0, -1.0, "worse")]
)
def test_returns_are_compared_by_their_interval_and_told_with_the_ndcg(low: float, high: float, outcome: str) -> None:
    answer = measure_answers(methods(0.05, 0.01), returns(low, high))[2]
    assert answer.question == RETURN
    (row,) = answer.rows
    assert (row.outcome, row.p, row.difference, row.ndcg) == (outcome, None, (low + high) / 2, 0.091)
    assert (
        f"(return 55.0 against 34.0; {row.difference:+.1f}, 95 % interval {low:+.1f} to {high:+.1f})" in answer.sentence
    )
    assert answer.sentence.endswith("iql has an NDCG@10 of 0.0910.")


def test_an_answer_tells_the_return_of_critics_that_do_not_re_rank() -> None:
    section = returns(-9.0, -1.0)
    row = MethodReturn(name="td3 by its critics", kind="critics", value=57.625, low=50, high=60, length=28)
    told = measure_answers(methods(0.05, 0.01), section.model_copy(update={"methods": (row, *section.methods)}))[2]
    assert told.rows == measure_answers(methods(0.05, 0.01), section)[2].rows
    assert told.sentence.endswith("0.0910. td3 by its critics: 57.6, if they alone order its items.")


def test_what_was_not_measured_is_not_answered() -> None:
    nearest, order, of_return = measure_answers(MethodsSection(challenger=None, results=()), None)
    assert nearest.sentence == order.sentence == "There are too few such cases."
    assert of_return.sentence.startswith("No return was measured")
    assert not nearest.rows + order.rows + of_return.rows


def test_cases_of_fewer_than_ten_users_answer_nothing() -> None:
    nearest, order, _ = measure_answers(methods(0.05, 0.01, users=9), None)
    assert nearest.rows == order.rows == ()
