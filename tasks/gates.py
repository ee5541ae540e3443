"""Gates between the stages: a table is validated with Great Expectations, and a failed validation stops the flow."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pandas as pd
from prefect import task

from expectations.events import events_suite
from expectations.items import items_suite
from expectations.movies import movies_suite
from expectations.profiles import profile_events, profile_items, profile_transitions
from expectations.transitions import transitions_suite
from expectations.validation_process import ValidationProcess
from expectations.validation_result import ValidationResult
from storage.artifacts.store import ArtifactRef, Draft
from storage.dataset.event_table import row_groups
from storage.dataset.scale import RatingScale
from storage.errors import MarqueeError
from tasks.caching import artifact_store, artifact_task, before_work
from tasks.datasets import open_dataset
from tasks.ingest import known_movies, read_table
from tasks.story import link, show_text

MOVIES_COLUMNS = ["movie_id", "tmdb_id", "title", "year", "has_metadata"]
PROCESS = ValidationProcess()


class GateError(MarqueeError):
    """A table does not meet its expectations; the message names them and shows sample rows."""


@contextmanager
def validating() -> Iterator[None]:
    """For the steps of a flow with gates: start the validation process beside the first uncached step, and end it at the end."""
    token = before_work.set(PROCESS.start)
    try:
        yield
    finally:
        before_work.reset(token)
        PROCESS.end()


@artifact_task("validation-movies")
def validate_movies(draft: Draft, movies: ArtifactRef) -> None:
    """Validate the movies and write their Data Docs."""
    table = read_table(movies, "movies.parquet", MOVIES_COLUMNS)
    keep(draft, PROCESS.validate(movies_suite, table.to_pandas(), draft.path))


@artifact_task("validation-events")
def validate_events(
    draft: Draft, events: ArtifactRef, movies: ArtifactRef, scale: RatingScale, max_unknown_share: float
) -> None:
    """Validate the events by one profile row per user, and write their Data Docs."""
    counts = artifact_store().manifest(events).facts
    unknown_share = counts["dropped_unknown_movie"] / max(1, counts["rows"])
    tables = row_groups(artifact_store().open(events) / "events.parquet")
    profile = profile_events(tables, known_movies(movies), scale, unknown_share)
    bounds = {"scale": scale, "max_unknown_share": max_unknown_share}
    keep(draft, PROCESS.validate(events_suite, profile, draft.path, **bounds))


@artifact_task("validation-items")
def validate_items(draft: Draft, items: ArtifactRef, movies: ArtifactRef) -> None:
    """Validate the items and their embeddings, and write their Data Docs."""
    profile = profile_items(read_table(items, "items.parquet"))
    keep(draft, PROCESS.validate(items_suite, profile, draft.path, items=movies.rows))


@artifact_task("validation-transitions")
def validate_transitions(draft: Draft, dataset: ArtifactRef) -> None:
    """Validate the dataset of transitions by one profile row per user, and write its Data Docs."""
    data = open_dataset(dataset)
    profile: pd.DataFrame = profile_transitions(
        items=data.item.cpu().numpy(),
        codes=data.rating_code.cpu().numpy(),
        timestamps=data.timestamps(),
        offsets=data.offset.cpu().numpy(),
        user_ids=data.user_ids,
        split=data.user_split,
        frame=data.frame,
    )
    bounds = {"items": data.items, "scale": data.scale, "mode": data.head.mode}
    keep(draft, PROCESS.validate(transitions_suite, profile, draft.path, **bounds))


def checked_dataset(spec: str) -> ArtifactRef:
    """The dataset with a digest, its beginning, or `latest`, if it passes its gate.

    Raises:
        ArtifactError: there is none.
        GateError: see `pass_gate`.
    """
    found = artifact_store().select("dataset", spec)
    with validating():
        gate("transitions", validate_transitions, found)
    return found


def keep(draft: Draft, result: ValidationResult) -> None:
    """Keep the result in the artifact's manifest."""
    draft.rows = result.rows
    draft.facts = result.model_dump(mode="json")


@task(name="gate", task_run_name="gate-{name}")
def pass_gate(name: str, validation: ArtifactRef) -> None:
    """Show the result in Prefect's UI, and stop the flow unless the table passed.

    Raises:
        GateError: an expectation of critical severity failed, or the table is empty.
    """
    folder = artifact_store().open(validation)
    result = ValidationResult.model_validate(artifact_store().manifest(validation).facts)
    docs = folder / "data_docs" / "index.html"
    show_text(f"gate-{name}", f"{result.message()}\n\nData Docs: {link(docs)}", f"Gate on {name}")
    if not result.passed:
        raise GateError(f"{result.message()}\nData Docs: {docs}")


def gate(name: str, validate: Callable[..., ArtifactRef], *given: ArtifactRef | RatingScale | float) -> None:
    """Validate a table, and stop the flow unless it passed.

    Args:
        name: of the table.
        validate: one of the tasks above.
        given: its arguments.

    Raises:
        GateError: see `pass_gate`.
    """
    pass_gate(name, validate(*given))
