"""The answer first: is the challenger better than the champion and the baselines, by how much, and how certain is that."""

from collections.abc import Mapping, Sequence

from pydantic import Field

from evaluation.protocols.cases import Protocol
from evaluation.protocols.metrics import COMPARED, formatted, label
from evaluation.protocols.promotion import ChampionComparison
from evaluation.record import Record
from evaluation.report.evidence import Subject
from evaluation.report.labels import SPLITS
from evaluation.report.sections.methods.comparisons import ALPHA
from evaluation.report.sections.methods.numbers import MethodResult, MethodsSection
from evaluation.report.sections.verdict.answers import Outcome, VerdictAnswer, outcome_of
from evaluation.report.sections.verdict.critics import CriticsPart

METRIC = COMPARED["next-item"][0]
FEW_USERS = 200
RUNNER_UP = "runner-up"
WORDS: dict[Outcome, str] = {
    "better": "is better than",
    "worse": "is worse than",
    "undecided": "cannot be distinguished from",
}
QUESTIONS: Mapping[Protocol, str] = {
    "next-item": "the item chosen next",
    "fold-in": "the rest of a history",
    "mult-vae": "a random fifth of the items rated 4 or more, where order does not count",
}


class Against(Record):
    """The challenger compared with one other method, on the same test users."""

    other: str
    role: str
    challenger_value: float
    other_value: float
    difference: float
    low: float  # 95 % paired bootstrap interval of the difference
    high: float
    relative: float | None  # difference as a share of the other's value
    p: float  # randomisation test, after Holm's correction over all methods the challenger is compared with
    outcome: Outcome


class Fact(Record):
    """One key figure."""

    value: str
    label: str
    note: str


class VerdictSection(Record):
    """The verdict, key figures, and warnings to read before relying on them."""

    headline: str
    challenger: str | None
    metric: str
    users: int
    outcome: Outcome | None  # the worst outcome of the opponents other than the runner-up
    opponents: tuple[Against, ...]
    facts: tuple[Fact, ...]
    cautions: tuple[str, ...]
    answers: tuple[VerdictAnswer, ...] = Field((), description="Who is best by each of three questions.")
    critics: CriticsPart | None = Field(None, description="What the challenger's critics change, and gain.")
    promotion: ChampionComparison | None = Field(
        None,
        description="The comparison on validation users that decides whether the best policy becomes the champion.",
    )


def measure_verdict(
    methods: MethodsSection, cautions: Sequence[str] = (), promotion: ChampionComparison | None = None
) -> VerdictSection:
    """Compare the challenger with champion, runner-up, best baseline and popularity, on test users.

    The challenger was selected on validation users, whom the verdict does not use. The best baseline is the best one on the
    test users themselves, so the hardest to beat.

    Args:
        methods: with results and comparisons of next-item cases of test users.
        cautions: warnings that do not come from these numbers.
        promotion: the comparison with the champion on validation users.
    """
    results = {one.name: one for one in methods.of("test", "next-item")}
    own = results.get(methods.challenger or "")
    opponents = opponents_of(methods, results) if own else {}
    against = tuple(found for role, other in opponents.items() if (found := tested_against(methods, own, role, other)))
    if own is None or not against:
        why = (
            "There are no test users to evaluate on."
            if not results
            else "There is nothing to compare: a policy and a baseline are needed."
        )
        return VerdictSection(
            headline=why, challenger=methods.challenger, metric=METRIC, users=0, outcome=None, opponents=(), facts=(),
            cautions=tuple(cautions), promotion=promotion,
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
        promotion=promotion,
    )


def opponents_of(methods: MethodsSection, results: Mapping[str, MethodResult]) -> dict[str, MethodResult]:
    """The opponents by role: the champion, the best other policy and the best baseline on the test users, popularity."""
    others = [one for one in results.values() if one.name != methods.challenger]
    found: dict[str, MethodResult] = {}
    for role, kind in (("champion", "champion"), (RUNNER_UP, "policy"), ("best baseline", "baseline")):
        if those := [one for one in others if one.kind == kind]:
            found[role] = max(those, key=lambda one: one.value(METRIC))
    if "popularity" in results and found["best baseline"].name != "popularity":
        found["popularity"] = results["popularity"]
    return found


def tested_against(methods: MethodsSection, own: MethodResult | None, role: str, other: MethodResult) -> Against | None:
    """The tested difference to one opponent, if there is one."""
    for one in methods.comparisons:
        if (one.split, one.protocol, one.metric, one.other) == ("test", "next-item", METRIC, other.name) and own:
            value = other.value(METRIC)
            return Against(
                other=other.name,
                role=role,
                challenger_value=own.value(METRIC),
                other_value=value,
                difference=one.difference,
                low=one.low,
                high=one.high,
                relative=one.difference / value if value > 0 else None,
                p=one.p_adjusted,
                outcome=outcome_of(one.difference, one.p_adjusted < ALPHA),
            )
    return None


def headline(challenger: str, against: Sequence[Against], users: int) -> str:
    """The verdict in one sentence; it names popularity only if the challenger is not better."""
    named = [one for one in against if one.role != "popularity" or one.outcome != "better"] or list(against)
    named.sort(key=lambda one: one.role == RUNNER_UP)
    clauses = [
        f"{WORDS[outcome]} {' and '.join(called(one) for one in named if one.outcome == outcome)}"
        for outcome in dict.fromkeys(one.outcome for one in named)
    ]
    values = ", ".join(f"{one.other} {one.other_value:.4f}" for one in against)
    return (
        f"{challenger} {' and '.join(clauses)} at ranking the next choices of {users:,} test users "
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
    """The relative difference, the hit rate, NDCG on items rated 4 or more, coverage, and NDCG after the time cut."""
    first = next((one for one in against if one.role == "best baseline"), against[0])
    other = opponents[first.role]
    title = f"in {METRIC.upper()} against {called(first)}"
    note = f"{first.challenger_value:.4f} against {first.other_value:.4f}; difference {span(first)}"
    found = [Fact(value=percent(first.relative, "+"), label=title, note=note)]
    later = {one.name: one for one in methods.of("time", "next-item")}
    for mine, theirs, metric, title, is_share in (
        (own, other, "hit@10", "of the next choices are among the first ten of the whole catalogue", True),
        (own, other, "ndcg@10_liked", f"{METRIC.upper()} on choices that were then rated 4 or more", False),
        (own, other, "coverage@10", "of the catalogue is recommended to at least one user", True),
        (later.get(own.name), later.get(other.name), METRIC, f"{METRIC.upper()} on steps after the time cut", False),
    ):
        value = mine.metrics.get(metric) if mine else None
        beside = theirs.metrics.get(metric) if theirs else None
        if value is not None:
            shown = [percent(number) if is_share else formatted(metric, number) for number in (value, beside)]
            note = "" if beside is None else f"{other.name}: {shown[1]}"
            found.append(Fact(value=shown[0], label=title, note=note))
    return tuple(found)


def percent(value: float | None, sign: str = "") -> str:
    """A share in whole per cent, or a dash."""
    return "–" if value is None else f"{100 * value:{sign}.0f} %"


def span(one: Against) -> str:
    """A difference with its interval."""
    return f"{one.difference:+.4f} (95 % interval {one.low:+.4f} to {one.high:+.4f})"


def own_cautions(methods: MethodsSection, own: MethodResult, against: Sequence[Against]) -> list[str]:
    """Warnings that follow from the numbers."""
    found = []
    if (own.users or 0) < FEW_USERS:
        found.append(f"Only {own.users} test users: intervals are wide, and small differences cannot be detected.")
    found += [
        f"The difference to {called(one)} may be chance: {span(one)}, p = {one.p:.2g} after Holm's correction."
        for one in against
        if one.outcome == "undecided"
    ]
    return found + lost_elsewhere(methods)


def lost_elsewhere(methods: MethodsSection) -> list[str]:
    """The other evaluations in which the tests show that the challenger is worse, a sentence each."""
    found = []
    for table in methods.tables():
        tested = [one for one in table.comparisons if one.metric == table.first]
        lost = [one for one in tested if one.outcome == "worse"]
        if (table.split, table.protocol) == ("test", "next-item") or not lost:
            continue
        values = {one.name: one.value(table.first) for one in table.rows}
        most = max(lost, key=lambda one: values[one.other])
        found.append(
            f"In another evaluation, of {QUESTIONS[table.protocol]} ({SPLITS[table.split]}), {most.challenger} is worse than "
            f"{len(lost)} of {len(tested)} methods, {'namely' if len(lost) == 1 else 'most of all'} {most.other}: "
            f"{label(table.first)} {values[most.challenger]:.4f} against {values[most.other]:.4f}."
        )
    return found


def training_cautions(subject: Subject, challenger: str | None) -> list[str]:
    """Warnings that follow from how the data and the policies were made."""
    found = []
    if subject.dataset.generated:
        found.append(
            "The ratings are generated: the verdict shows that the pipeline works and says nothing about real people."
        )
    for name, manifest in subject.policies.items():
        if manifest.recipe.inputs.get("dataset") != subject.dataset.digest:
            found.append(f"{name} was trained on another dataset, which may have included these test users.")
    if challenger is not None and challenger in subject.policies:
        facts = subject.policies[challenger].facts
        if facts.get("diverged"):
            found.append(f"The training of {challenger} diverged; the best checkpoint before that was kept.")
        if kinds := sorted({one["kind"] for one in facts.get("warnings", [])}):
            found.append(f"Training {challenger} raised early warnings: {', '.join(kinds)} (see Training).")
    return found
