"""Three questions, each answered by the best policy beside the best baseline: next items, order and time, return."""

from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from evaluation.protocols.cases import Protocol
from evaluation.protocols.metrics import label
from evaluation.record import Record
from evaluation.report.labels import cases_title
from evaluation.report.sections.environment.numbers import EnvironmentSection
from evaluation.report.sections.methods.comparisons import ALPHA, Comparison
from evaluation.report.sections.methods.numbers import MethodsSection
from storage.dataset.format import Split

Outcome = Literal["better", "worse", "undecided"]
LEAST_USERS = 10  # cases of fewer users answer nothing
NEXT = "Who ranks the next item best?"
ORDER = "Who ranks best where order does not count, and after the time cut?"
RETURN = "Whose return with simulated users is highest, and at which NDCG@10?"
CASES: dict[str, tuple[tuple[Split, Protocol], ...]] = {
    NEXT: (("test", "next-item"),),
    ORDER: (("test", "mult-vae"), ("test", "fold-in"), ("time", "next-item"), ("time", "fold-in")),
}


class BestPair(Record):
    """The policy and the baseline with the highest value of one measure, on the same users."""

    measured: str = Field(description="The cases, or the users of the returns.")
    metric: str = Field(description="Such as NDCG@10, or the return.")
    policy: str
    policy_value: float
    baseline: str
    baseline_value: float
    difference: float = Field(description="Of the policy to the baseline.")
    low: float = Field(description="Lower end of its 95 % interval, by the paired bootstrap over users.")
    high: float = Field(description="Upper end of it.")
    p: float | None = Field(
        description="Of the sign-flip test, after Holm's correction over all methods that the policy is compared with; none for "
        "returns, which are compared by their interval."
    )
    ndcg: float | None = Field(None, description="NDCG@10 of the policy on test users' next items, beside a return.")

    outcome: Outcome = Field(description="Of the policy: by the test, or by the interval if there is no test.")

    @property
    def digits(self) -> int:
        """Decimals of its values."""
        return 1 if self.metric == "return" else 4


class VerdictAnswer(Record):
    """A question, its answer in one sentence, and the comparisons that it rests on."""

    question: str
    sentence: str
    rows: tuple[BestPair, ...]


def measure_answers(methods: MethodsSection, environment: EnvironmentSection | None) -> tuple[VerdictAnswer, ...]:
    """Answer the three questions.

    Args:
        methods: with the comparisons of the best policy and the best baseline.
        environment: the returns, if they were measured.
    """
    enough = {(one.split, one.protocol) for one in methods.results if (one.users or 0) >= LEAST_USERS}
    found = {cases: best_of(one, methods) for one in methods.best if (cases := (one.split, one.protocol)) in enough}
    answers = []
    for question, wanted in CASES.items():
        rows = [found[cases] for cases in wanted if cases in found]
        answers.append(
            VerdictAnswer(
                question=question, sentence=answer_in_words(rows, "There are too few such cases."), rows=tuple(rows)
            )
        )
    rows = best_return(environment) if environment else []
    text = answer_in_words(rows, "No return was measured: there are too few users, or the section is left out.")
    if rows and environment is not None and (one := environment.best_by_critics) is not None:
        text += f" {one.name}: {one.value:.1f}, if they alone order its items."
    return (*answers, VerdictAnswer(question=RETURN, sentence=text, rows=tuple(rows)))


def best_of(one: Comparison, methods: MethodsSection) -> BestPair:
    """The best policy and the best baseline of a set of cases."""
    values = {result.name: result.value(one.metric) for result in methods.of(one.split, one.protocol)}
    return BestPair(
        measured=cases_title(one.split, one.protocol),
        metric=label(one.metric),
        policy=one.challenger,
        policy_value=values[one.challenger],
        baseline=one.other,
        baseline_value=values[one.other],
        difference=one.difference,
        low=one.low,
        high=one.high,
        p=one.p_adjusted,
        outcome=outcome_of(one.difference, one.p_adjusted < ALPHA),
    )


def best_return(environment: EnvironmentSection) -> list[BestPair]:
    """The policy and the baseline with the highest return, if there are both."""
    if environment.best_policy is None or environment.best_baseline is None:
        return []
    policy, baseline = map(environment.named, (environment.best_policy, environment.best_baseline))
    if policy.gain is None or policy.gain_low is None or policy.gain_high is None:
        return []
    return [
        BestPair(
            measured=f"{environment.users} simulated test users",
            metric="return",
            policy=policy.name,
            policy_value=policy.value,
            baseline=baseline.name,
            baseline_value=baseline.value,
            difference=policy.gain,
            low=policy.gain_low,
            high=policy.gain_high,
            p=None,
            ndcg=policy.ndcg,
            outcome=outcome_of(policy.gain, not policy.gain_low <= 0 <= policy.gain_high),
        )
    ]


def outcome_of(difference: float, decided: bool) -> Outcome:
    """Whether the policy is better or worse than the baseline, if that is decided."""
    return "undecided" if not decided or difference == 0 else "better" if difference > 0 else "worse"


def answer_in_words(rows: Sequence[BestPair], otherwise: str) -> str:
    """Who is best, in one sentence: with the numbers if there is one measure, else measure by measure.

    Args:
        rows: the measures.
        otherwise: the sentence if there are none.
    """
    if not rows:
        return otherwise
    if len(rows) > 1:
        winners = {"worse": "the baseline {0.baseline}", "better": "{0.policy}", "undecided": "undecided"}
        return "; ".join(f"{winners[one.outcome].format(one)} ({one.measured})" for one in rows) + "."
    (one,) = rows
    values = f"{one.metric} {one.policy_value:.{one.digits}f} against {one.baseline_value:.{one.digits}f}"
    span = f"{one.difference:+.{one.digits}f}, 95 % interval {one.low:+.{one.digits}f} to {one.high:+.{one.digits}f}"
    at = "" if one.ndcg is None else f" {one.policy} has an NDCG@10 of {one.ndcg:.4f}."
    best = {
        "better": f"{one.policy} is better than the best baseline, {one.baseline}",
        "worse": f"the baseline {one.baseline} is better than the best policy, {one.policy}",
        "undecided": f"{one.policy} and the best baseline, {one.baseline}, cannot be distinguished",
    }[one.outcome]
    return f"{best} ({values}; {span}).{at}"
