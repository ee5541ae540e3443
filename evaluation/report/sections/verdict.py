"""The answer first: is the challenger better than the champion and the baselines, by how much, and how sure is that."""

from collections.abc import Mapping, Sequence
from typing import Literal

import altair as alt
import pandas as pd

from evaluation.protocols.cases import Protocol
from evaluation.protocols.names import SPLITS
from evaluation.report.figures import COLOURS, finished
from evaluation.report.page import Chart, number
from evaluation.report.sections.methods import ALPHA, COMPARED, Judged, MethodResult, MethodsSection, label
from evaluation.report.sections.section import Section

Outcome = Literal["better", "worse", "undecided"]
METRIC = COMPARED["next-item"][0]
FEW_USERS = 200
RUNNER_UP = "runner-up"
WORDS: dict[Outcome, str] = {
    "better": "is better than",
    "worse": "is worse than",
    "undecided": "cannot be told apart from",
}
QUESTIONS: Mapping[Protocol, str] = {
    "next-item": "what is chosen next",
    "fold-in": "the rest of a history",
    "mult-vae": "a random fifth of what was liked, where order does not count",
}


class Against(Section):
    """The challenger against one other method, on the same test users."""

    other: str
    role: str
    challenger_value: float
    other_value: float
    difference: float
    low: float  # 95 % paired bootstrap interval of the difference
    high: float
    relative: float | None  # difference as a share of the other's value
    p: float  # randomisation test, adjusted by Holm for all methods the challenger is held against
    outcome: Outcome


class Fact(Section):
    """One key figure for a reader in a hurry."""

    value: str
    label: str
    note: str


class VerdictSection(Section):
    """Verdict, key figures and what a reader must know before relying on them."""

    headline: str
    challenger: str | None
    metric: str
    users: int
    outcome: Outcome | None  # the least flattering of those below, the runner-up's aside
    opponents: tuple[Against, ...]
    facts: tuple[Fact, ...]
    cautions: tuple[str, ...]


def choose_challenger(judged: Sequence[Judged]) -> str | None:
    """The policy that ranks validation users' next items best, the first of equals; the champion where it is alone."""
    found = [one.result for one in judged if (one.result.split, one.result.protocol) == ("validation", "next-item")]
    for kind in ("policy", "champion"):
        if those := [one for one in found if one.kind == kind]:
            return max(those, key=lambda one: one.metrics.get(METRIC) or 0.0).name
    return None


def measure_verdict(methods: MethodsSection, cautions: Sequence[str] = ()) -> VerdictSection:
    """What a section of methods says of its challenger against champion, runner-up, best baseline and popularity, on test users.

    The challenger was chosen on validation users, whom the verdict does not look at; the best baseline is the best on the test
    users themselves, the hardest to beat.

    Args:
        methods: with results and comparisons of next-item cases of test users.
        cautions: what a reader must know besides what the numbers say.
    """
    results = {one.name: one for one in results_of(methods, "test")}
    own = results.get(methods.challenger or "")
    opponents = opponents_of(methods, results) if own else {}
    against = tuple(found for role, other in opponents.items() if (found := compared(methods, own, role, other)))
    if own is None or not against:
        why = (
            "No test users were left to judge on."
            if not results
            else "There is nothing to compare: a policy and a baseline."
        )
        return VerdictSection(
            headline=why, challenger=methods.challenger, metric=METRIC, users=0, outcome=None, opponents=(), facts=(),
            cautions=tuple(cautions),
        )  # fmt: skip
    users = own.users or 0
    outcomes = [one.outcome for one in against if one.role != RUNNER_UP] or [one.outcome for one in against]
    order: tuple[Outcome, ...] = ("worse", "undecided", "better")
    return VerdictSection(
        headline=headline(own.name, against, users),
        challenger=own.name,
        metric=METRIC,
        users=users,
        outcome=next(outcome for outcome in order if outcome in outcomes),
        opponents=against,
        facts=facts(methods, own, against, opponents),
        cautions=(*own_cautions(methods, own, against), *cautions),
    )


def results_of(methods: MethodsSection, split: str) -> list[MethodResult]:
    """All results of a split's next-item cases."""
    return [one for one in methods.results if (one.split, one.protocol) == (split, "next-item")]


def opponents_of(methods: MethodsSection, results: Mapping[str, MethodResult]) -> dict[str, MethodResult]:
    """By role those the verdict names: the champion, the best other policy and baseline on the test users, popularity."""
    others = [one for one in results.values() if one.name != methods.challenger]
    found: dict[str, MethodResult] = {}
    for role, kind in (("champion", "champion"), (RUNNER_UP, "policy"), ("best baseline", "baseline")):
        if those := [one for one in others if one.kind == kind]:
            found[role] = max(those, key=lambda one: one.metrics.get(METRIC) or 0.0)
    if "popularity" in results and found["best baseline"].name != "popularity":
        found["popularity"] = results["popularity"]
    return found


def compared(methods: MethodsSection, own: MethodResult | None, role: str, other: MethodResult) -> Against | None:
    """The tested difference to one opponent, if there is one."""
    for one in methods.comparisons:
        if (one.split, one.protocol, one.metric, one.other) == ("test", "next-item", METRIC, other.name) and own:
            decided = one.p_adjusted < ALPHA and one.difference != 0
            outcome: Outcome = "undecided" if not decided else "better" if one.difference > 0 else "worse"
            value = other.metrics.get(METRIC) or 0.0
            return Against(
                other=other.name,
                role=role,
                challenger_value=own.metrics.get(METRIC) or 0.0,
                other_value=value,
                difference=one.difference,
                low=one.low,
                high=one.high,
                relative=one.difference / value if value > 0 else None,
                p=one.p_adjusted,
                outcome=outcome,
            )
    return None


def headline(challenger: str, against: Sequence[Against], users: int) -> str:
    """One plain sentence; popularity is named only where it is not plainly beaten."""
    named = [one for one in against if one.role != "popularity" or one.outcome != "better"] or list(against)
    named.sort(key=lambda one: one.role == RUNNER_UP)
    clauses = [
        f"{WORDS[outcome]} {' and '.join(called(one) for one in named if one.outcome == outcome)}"
        for outcome in dict.fromkeys(one.outcome for one in named)
    ]
    values = ", ".join(f"{one.other} {one.other_value:.4f}" for one in against)
    return (
        f"{challenger} {' and '.join(clauses)} at ranking what {users:,} test users chose next "
        f"({METRIC.upper()} {against[0].challenger_value:.4f}; {values})."
    )


def called(one: Against) -> str:
    """An opponent's name in a sentence."""
    if one.role == one.other:
        return f"the {one.role}" if one.role == "champion" else one.other
    return f"the {one.role} ({one.other})"


def facts(
    methods: MethodsSection, own: MethodResult, against: Sequence[Against], opponents: Mapping[str, MethodResult]
) -> tuple[Fact, ...]:
    """How much better, for whom, on liked items, later in time, and how wide the recommendations reach."""
    first = next((one for one in against if one.role == "best baseline"), against[0])
    other = opponents[first.role]
    label = f"in {METRIC.upper()} against {called(first)}"
    note = f"{first.challenger_value:.4f} against {first.other_value:.4f}; difference {span(first)}"
    found = [Fact(value=percent(first.relative, "+"), label=label, note=note)]
    later = {one.name: one for one in results_of(methods, "time")}
    for mine, theirs, metric, label, written in (
        (own, other, "hit@10", "of next choices are among the first ten of the whole catalogue", percent),
        (own, other, "ndcg@10_liked", f"{METRIC.upper()} on choices they then rated 4 or more", number),
        (own, other, "coverage@10", "of the catalogue is recommended to somebody", percent),
        (later.get(own.name), later.get(other.name), METRIC, f"{METRIC.upper()} on steps after the time cut", number),
    ):
        value = mine.metrics.get(metric) if mine else None
        beside = theirs.metrics.get(metric) if theirs else None
        if value is not None:
            note = "" if beside is None else f"{other.name}: {written(beside)}"
            found.append(Fact(value=written(value), label=label, note=note))
    return tuple(found)


def percent(value: float | None, sign: str = "") -> str:
    """A share in whole per cent, or a dash."""
    return "–" if value is None else f"{100 * value:{sign}.0f} %"


def span(one: Against) -> str:
    """A difference with its interval."""
    return f"{one.difference:+.4f} (95 % interval {one.low:+.4f} to {one.high:+.4f})"


def own_cautions(methods: MethodsSection, own: MethodResult, against: Sequence[Against]) -> list[str]:
    """What the numbers themselves warn of."""
    found = []
    if (own.users or 0) < FEW_USERS:
        found.append(f"Only {own.users} test users: intervals are wide, and small differences cannot be seen.")
    found += [
        f"The difference to {called(one)} may be chance: {span(one)}, p = {one.p:.2g} after Holm's correction."
        for one in against
        if one.outcome == "undecided"
    ]
    return found + lost_elsewhere(methods)


def lost_elsewhere(methods: MethodsSection) -> list[str]:
    """Where the tests say that the challenger is worse by another question than the verdict's: a sentence each."""
    found = []
    for table in methods.tables():
        tested = [one for one in table.comparisons if one.metric == table.first]
        lost = [one for one in tested if one.says == "worse"]
        if (table.split, table.protocol) == ("test", "next-item") or not lost:
            continue
        values = {one.name: one.metrics.get(table.first) or 0.0 for one in table.rows}
        most = max(lost, key=lambda one: values[one.other])
        found.append(
            f"Asked otherwise, for {QUESTIONS[table.protocol]} ({SPLITS[table.split]}), {most.challenger} is worse than "
            f"{len(lost)} of {len(tested)} methods, {'that is' if len(lost) == 1 else 'first of all'} {most.other}: "
            f"{label(table.first)} {values[most.challenger]:.4f} against {values[most.other]:.4f}."
        )
    return found


def charts(section: VerdictSection) -> list[Chart]:
    """Differences with their intervals; right of zero the challenger is better."""
    if not section.opponents:
        return []
    data = pd.DataFrame([one.model_dump() for one in section.opponents])
    data["label"] = [one.other if one.role in one.other else f"{one.other} ({one.role})" for one in section.opponents]
    base = alt.Chart(data).encode(y=alt.Y("label:N", sort=None, title=None, axis=alt.Axis(labelLimit=260)))
    zero = alt.Chart(pd.DataFrame({"x": [0.0]})).mark_rule(strokeDash=[4, 3]).encode(x="x:Q")
    bar = base.mark_rule(strokeWidth=2.5, color=COLOURS[0]).encode(
        x=alt.X("low:Q", title=f"difference in {section.metric.upper()}"), x2="high:Q"
    )
    point = base.mark_point(filled=True, size=90, color=COLOURS[0], opacity=1).encode(
        x="difference:Q",
        tooltip=[
            "other:N", *(alt.Tooltip(f"{name}:Q", format="+.4f") for name in ("difference", "low", "high")),
            alt.Tooltip("p:Q", format=".2g"),
        ],
    )  # fmt: skip
    note = f"{section.challenger} less each opponent, same users, with 95 % intervals. Right of zero: the challenger is better."
    spec = finished((zero + bar + point).properties(width=480, height=max(60, 34 * len(data))))
    return [("verdict", "How much better", note, spec)]
