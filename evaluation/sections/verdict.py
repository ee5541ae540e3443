"""The answer first: is the challenger better than the champion and the baselines, by how much, and how sure is that."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import altair as alt
import numpy as np
import pandas as pd

from evaluation.figures import COLOURS, finished
from evaluation.metrics import PerUser, means
from evaluation.page import Chart
from evaluation.sections.section import Section
from evaluation.statistics import bootstrap_intervals, holm, sign_flip_test

Kind = Literal["policy", "champion", "baseline"]
Outcome = Literal["better", "worse", "undecided"]
LEVEL = 0.05
FEW_USERS = 200
WORDS: dict[Outcome, str] = {
    "better": "is better than",
    "worse": "is worse than",
    "undecided": "cannot be told apart from",
}


@dataclass(frozen=True)
class Judged:
    """One method's next-item results; all methods are judged on the same users.

    Attributes:
        name: of the method.
        kind: what it is there for.
        splits: by split (test, time, validation) its metrics of every user.
        coverage: share of the catalogue in anybody's list, on test users.
    """

    name: str
    kind: Kind
    splits: Mapping[str, PerUser]
    coverage: float
    means: dict[str, dict[str, float]] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "means", {split: means(per_user) for split, per_user in self.splits.items()})

    def mean(self, split: str, metric: str) -> float:
        """A metric's mean over users; NaN where there is none."""
        return self.means.get(split, {}).get(metric, float("nan"))


class Comparison(Section):
    """The challenger against one other method, on the same test users."""

    against: str
    role: str
    challenger: float
    other: float
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
    outcome: Outcome | None  # against the strongest opponent
    comparisons: tuple[Comparison, ...]
    facts: tuple[Fact, ...]
    cautions: tuple[str, ...]


def measure_verdict(judged: Sequence[Judged], k: int, cautions: Sequence[str] = (), seed: int = 0) -> VerdictSection:
    """Hold the best policy by validation users against champion, best baseline and popularity, on test users.

    The challenger is chosen on validation users, whom the report does not judge on; the best baseline is the best on the test
    users, the hardest to beat.

    Args:
        judged: all methods.
        k: length of a list.
        cautions: what a reader must know besides what the numbers say.
        seed: of resampling.
    """
    metric = f"ndcg@{k}"
    there = [one for one in judged if "test" in one.splits and len(one.splits["test"].users)]
    policies = [one for one in there if one.kind == "policy"] or [one for one in there if one.kind == "champion"]
    others = [one for one in there if one.kind == "baseline"]
    if not policies or not others:
        why = "No test users were left to judge on." if not there else "There is nothing to compare: a policy and a baseline."
        return VerdictSection(
            headline=why, challenger=None, metric=metric, users=0, outcome=None, comparisons=(), facts=(),
            cautions=tuple(cautions),
        )  # fmt: skip
    challenger = max(policies, key=lambda one: known(one.mean("validation", metric)))
    opponents = opponents_of(challenger, there, metric)
    compared = compare(challenger, there, opponents, metric, seed)
    users = len(challenger.splits["test"].users)
    weakest = next((word for word in ("worse", "undecided", "better") if word in [one.outcome for one in compared]), None)
    return VerdictSection(
        headline=headline(challenger.name, compared, users, metric),
        challenger=challenger.name,
        metric=metric,
        users=users,
        outcome=weakest,
        comparisons=compared,
        facts=facts(challenger, opponents, compared, k),
        cautions=(*own_cautions(challenger, opponents, compared, users, metric), *cautions),
    )


def known(value: float) -> float:
    """The value; of all the least where there is none."""
    return -np.inf if np.isnan(value) else value


def opponents_of(challenger: Judged, judged: Sequence[Judged], metric: str) -> dict[str, Judged]:
    """By role those the verdict names: the champion, the best baseline on the test users, popularity."""
    baselines = [one for one in judged if one.kind == "baseline"]
    found = {"champion": one for one in judged if one.kind == "champion" and one is not challenger}
    found["best baseline"] = max(baselines, key=lambda one: known(one.mean("test", metric)))
    popularity = next((one for one in baselines if one.name == "popularity"), None)
    if popularity is not None and popularity is not found["best baseline"]:
        found["popularity"] = popularity
    return found


def compare(
    challenger: Judged, judged: Sequence[Judged], opponents: Mapping[str, Judged], metric: str, seed: int
) -> tuple[Comparison, ...]:
    """Differences to the opponents, paired by user; p is adjusted for all methods, since the best of them is among these."""
    others = [one for one in judged if one is not challenger]
    own = challenger.splits["test"].column(metric)
    differences = np.stack([own - one.splits["test"].column(metric) for one in others], axis=1)
    intervals = bootstrap_intervals(differences, seed)
    p = holm(sign_flip_test(differences, seed))
    found = []
    for role, opponent in opponents.items():
        place = next(place for place, one in enumerate(others) if one is opponent)
        difference, (low, high) = float(differences[:, place].mean()), intervals[place].tolist()
        decided = p[place] < LEVEL and difference != 0
        outcome: Outcome = "undecided" if not decided else "better" if difference > 0 else "worse"
        other = opponent.mean("test", metric)
        found.append(
            Comparison(
                against=opponent.name,
                role=role,
                challenger=challenger.mean("test", metric),
                other=other,
                difference=difference,
                low=low,
                high=high,
                relative=difference / other if other > 0 else None,
                p=float(p[place]),
                outcome=outcome,
            )
        )
    return tuple(found)


def headline(challenger: str, compared: Sequence[Comparison], users: int, metric: str) -> str:
    """One plain sentence; popularity is named only where it is not plainly beaten."""
    named = [one for one in compared if one.role != "popularity" or one.outcome != "better"]
    clauses = []
    for outcome, words in WORDS.items():
        those = [called(one) for one in named if one.outcome == outcome]
        if those:
            clauses.append(f"{words} {' and '.join(those)}")
    values = ", ".join(f"{one.against} {one.other:.4f}" for one in compared)
    return (
        f"{challenger} {' and '.join(clauses)} at ranking what {users:,} test users chose next "
        f"({metric.upper()} {compared[0].challenger:.4f}; {values})."
    )


def called(one: Comparison) -> str:
    """An opponent's name in a sentence."""
    return one.against if one.role == one.against else f"the {one.role}, {one.against}"


def facts(
    challenger: Judged, opponents: Mapping[str, Judged], compared: Sequence[Comparison], k: int
) -> tuple[Fact, ...]:
    """How much better, for whom, on liked items, later in time, and how wide the recommendations reach."""
    best = opponents["best baseline"]
    first = next(one for one in compared if one.role == "best baseline")
    found = [
        Fact(
            value="–" if first.relative is None else f"{first.relative:+.0%}",
            label=f"against the best baseline, {best.name}",
            note=f"NDCG@{k} {first.challenger:.4f} against {first.other:.4f}; difference {span(first)}",
        )
    ]
    words: tuple[tuple[str, str, str, str], ...] = (
        ("test", f"hit@{k}", f"of next choices are among the first {k}", "{:.0%}"),
        ("test", f"ndcg@{k}_liked", f"NDCG@{k} on choices rated 4 or more", "{:.4f}"),
        ("time", f"ndcg@{k}", f"NDCG@{k} after the time cut", "{:.4f}"),
    )
    for split, metric, label, form in words:
        value, other = challenger.mean(split, metric), best.mean(split, metric)
        if not np.isnan(value):
            note = f"{best.name}: {form.format(other)}" if not np.isnan(other) else ""
            found.append(Fact(value=form.format(value), label=label, note=note))
    found.append(
        Fact(
            value=f"{challenger.coverage:.0%}",
            label="of the catalogue is recommended to somebody",
            note=f"{best.name}: {best.coverage:.0%}",
        )
    )
    return tuple(found)


def span(one: Comparison) -> str:
    """A difference with its interval."""
    return f"{one.difference:+.4f} (95 % interval {one.low:+.4f} to {one.high:+.4f})"


def own_cautions(
    challenger: Judged, opponents: Mapping[str, Judged], compared: Sequence[Comparison], users: int, metric: str
) -> list[str]:
    """What the numbers themselves warn of."""
    found = []
    if users < FEW_USERS:
        found.append(f"Only {users} test users: intervals are wide, and small differences cannot be seen.")
    for one in compared:
        if one.outcome == "undecided":
            found.append(
                f"The difference to {called(one)} may be chance: {span(one)}, p = {one.p:.2g} after Holm's correction."
            )
    best = opponents["best baseline"]
    later, other = challenger.mean("time", metric), best.mean("time", metric)
    first = next(one for one in compared if one.role == "best baseline")
    if first.difference > 0 and later < other:
        found.append(
            f"After the time cut the order turns: {challenger.name} {later:.4f}, {best.name} {other:.4f}. What is learnt may age."
        )
    return found


def charts(section: VerdictSection) -> list[Chart]:
    """Differences with their intervals; right of zero the challenger is better."""
    if not section.comparisons:
        return []
    data = pd.DataFrame([one.model_dump() for one in section.comparisons])
    data["label"] = [one.against if one.role == one.against else f"{one.against} ({one.role})" for one in section.comparisons]
    base = alt.Chart(data).encode(y=alt.Y("label:N", sort=None, title=None, axis=alt.Axis(labelLimit=260)))
    zero = alt.Chart(pd.DataFrame({"x": [0.0]})).mark_rule(strokeDash=[4, 3]).encode(x="x:Q")
    bar = base.mark_rule(strokeWidth=2.5, color=COLOURS[0]).encode(
        x=alt.X("low:Q", title=f"difference in {section.metric.upper()}"), x2="high:Q"
    )
    point = base.mark_point(filled=True, size=90, color=COLOURS[0], opacity=1).encode(
        x="difference:Q",
        tooltip=[
            "against:N", *(alt.Tooltip(f"{name}:Q", format="+.4f") for name in ("difference", "low", "high")),
            alt.Tooltip("p:Q", format=".2g"),
        ],
    )  # fmt: skip
    note = f"{section.challenger} less each opponent, same users, with 95 % intervals. Right of zero: the challenger is better."
    spec = finished((zero + bar + point).properties(width=520, height=max(60, 34 * len(data))))
    return [("verdict", "How much better", note, spec)]
