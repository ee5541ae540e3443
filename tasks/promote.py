"""Whether the best new policy becomes the champion: the comparison, the decision, the move of the alias, the event."""

import logging
from collections.abc import Callable
from functools import partial
from operator import eq
from typing import Any, Literal

from prefect import task
from prefect.events import emit_event
from pydantic import BaseModel, ConfigDict

from evaluation.protocols.promotion import ChampionComparison, PromotionParams, compare_on_validation_users
from serving.stored_policies import load_on
from storage.artifacts.aliases import CHAMPION, Alias, move_alias, present_alias
from storage.artifacts.object_stores import ObjectStore, open_store
from storage.artifacts.store import ArtifactRef, Draft
from storage.errors import AliasMovedError, ArtifactError, UnknownAliasError
from tasks.caching import artifact_store, artifact_task
from tasks.datasets import open_dataset
from tasks.policies import policy_named, why_not_comparable
from tasks.story import add_section, show_text

logger = logging.getLogger("marquee.promote")
Rule = Literal["if-better", "always", "never"]
TRIES = 5
RESOURCE = "marquee.champion"  # of the events


class Decision(BaseModel):
    """Whether the best new policy became the champion, and why."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    promoted: bool
    why: str
    rule: Rule
    challenger: str  # digest of the best new policy
    learner: str
    champion: str | None  # digest that policy@champion names afterwards
    previous: str | None  # digest that it named before
    comparison: ChampionComparison | None = None


class NotComparableError(ArtifactError):
    """The champion cannot rank the new dataset's items."""


@artifact_task("champion-comparison")
def compare_policies(
    draft: Draft, dataset: ArtifactRef, challenger: ArtifactRef, champion: ArtifactRef, params: PromotionParams
) -> None:
    """Rank the same steps of the dataset's validation users with the best new policy and the champion."""
    data = open_dataset(dataset)
    own, other = (load_on(artifact_store().open(ref), data) for ref in (challenger, champion))
    found = compare_on_validation_users(data, own, other, params)
    (draft.path / "comparison.json").write_text(found.model_dump_json(indent=2))
    draft.rows = found.users
    draft.facts = found.model_dump(mode="json")


@task(name="promote")
def promote(
    to: str,
    dataset: ArtifactRef,
    challenger: ArtifactRef,
    why: dict[str, Any],
    rule: Rule,
    params: PromotionParams,
) -> Decision:
    """Make the best new policy the champion if the rule says so, and tell Prefect; returns the decision.

    Args:
        to: s3://bucket/prefix or a folder, where the policy is published.
        dataset: on whose validation users the two are compared.
        challenger: the best new policy.
        why: facts about it that are kept in the alias: `learner` and others.
        rule: when the champion changes.
        params: how the two are compared.

    Raises:
        AliasMovedError: other runs moved the champion each time that we had compared with it.
    """
    store = open_store(to)

    def compare(digest: str) -> ChampionComparison:
        champion = comparable_champion(digest, dataset, store.uri)
        compared = compare_policies(dataset, challenger, champion, params)
        return ChampionComparison.model_validate(artifact_store().manifest(compared).facts)

    decision = decide_and_move(store, challenger, why, rule, compare)
    announce(decision, store.uri)
    return decision


def comparable_champion(digest: str, dataset: ArtifactRef, published: str) -> ArtifactRef:
    """Bring the present champion into the work directory.

    Raises:
        NotComparableError: it is damaged, is no longer published, or cannot rank the dataset's items.
    """
    try:
        champion = policy_named(f"policy@{digest}", published)
    except (ArtifactError, UnknownAliasError) as error:
        raise NotComparableError(str(error)) from error
    if (reason := why_not_comparable(champion, dataset)) is not None:
        raise NotComparableError(reason)
    return champion


def decide_and_move(
    store: ObjectStore,
    challenger: ArtifactRef,
    why: dict[str, Any],
    rule: Rule,
    compare: Callable[[str], ChampionComparison],
) -> Decision:
    """Decide about the present champion and move the alias; decide again if another run moved it meanwhile.

    Args:
        store: where the policy is published.
        challenger: the best new policy.
        why: see `promote`.
        rule: see `promote`.
        compare: compares the challenger with the policy of a digest; raises NotComparableError.

    Raises:
        AliasMovedError: see `promote`.
    """
    for _ in range(TRIES):
        present = present_alias(store, "policy", CHAMPION)
        decision = decide(present, challenger, str(why["learner"]), rule, compare)
        if not decision.promoted:
            return decision
        reasons = why | decision.model_dump(mode="json", include={"rule", "why", "comparison"})
        if move_alias(store, challenger, CHAMPION, reasons, partial(eq, present)) is not None:
            return decision
        logger.warning("%s: another run has moved policy@champion; deciding again.", store.uri)
    raise AliasMovedError(
        f"{store.uri}: expected to decide about policy@champion; others moved it {TRIES} times meanwhile. Publish again."
    )


def decide(
    present: Alias | None,
    challenger: ArtifactRef,
    learner: str,
    rule: Rule,
    compare: Callable[[str], ChampionComparison],
) -> Decision:
    """Whether the challenger replaces the present champion."""
    comparison = None
    rolled_back = present is not None and challenger.digest in [
        one.digest for one in present.history if one.rolled_back
    ]
    if present is not None and present.digest == challenger.digest:
        promoted, why = False, "It is the champion already."
    elif rule == "never":
        promoted, why = False, "publish.champion is never."
    elif present is None:
        promoted, why = True, "There was no champion."
    elif rule == "always":
        promoted, why = True, "publish.champion is always."
    elif rolled_back:
        promoted, why = False, "It was the champion before and was rolled back; only the rule always promotes it again."
    else:
        try:
            comparison = compare(present.digest)
        except NotComparableError as error:
            promoted = False
            why = f"The champion cannot be compared with it and stays; only the rule always replaces it. {error}"
        else:
            promoted, why = comparison.better, comparison.sentence()
    before = present.digest if present else None
    return Decision(
        promoted=promoted,
        why=why,
        rule=rule,
        challenger=challenger.digest,
        learner=learner,
        champion=challenger.digest if promoted else before,
        previous=before,
        comparison=comparison,
    )


def announce(decision: Decision, published: str) -> None:
    """Show the decision in the Prefect UI and emit an event about it, `marquee.champion.promoted` or `marquee.champion.kept`."""
    headline = f"{decision.learner} ({decision.challenger}) " + (
        "is now policy@champion" if decision.promoted else "did not become policy@champion"
    )
    logger.info("%s. %s", headline, decision.why)
    lines = [f"**{headline}.** {decision.why}", "", f"- now: {decision.champion}"]
    lines += [f"- before: {decision.previous}", f"- rule: {decision.rule}"]
    if decision.promoted and decision.previous:
        lines += ["", f"To go back: `marquee rollback policy@champion --from {published}`"]
    show_text("champion", "\n".join(lines), "Promotion of the best new policy")
    add_section("Champion", "\n".join(lines))
    emit_event(
        event=f"{RESOURCE}.{'promoted' if decision.promoted else 'kept'}",
        resource={"prefect.resource.id": RESOURCE, "prefect.resource.name": "policy@champion"},
        payload=decision.model_dump(mode="json") | {"published": published, "headline": headline},
    )
