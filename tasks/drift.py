"""The gate on later events: their population stability index, compared with the dataset that they extend."""

import json

import numpy as np
import pandas as pd
import pyarrow as pa
from prefect import task
from prefect.events import emit_event
from pydantic import BaseModel, ConfigDict, Field, model_validator

from evaluation.protocols.population_stability import Events, measure_stability
from expectations.drift import drift_suite
from storage.artifacts.store import ArtifactRef, Draft
from storage.dataset.reader import TransitionDataset
from storage.markdown import markdown_table
from tasks.caching import artifact_store, artifact_task
from tasks.datasets import open_dataset
from tasks.gates import PROCESS, keep, pass_gate
from tasks.story import add_section, show_table

KEYS = ["user", "movie", "timestamp"]
COLUMNS = ("measure", "later_events", "psi", "warn_above", "fail_above", "note")  # in the summary of the run


class DriftParams(BaseModel):
    """How much later events may differ from those of the dataset that they extend."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    warn_above: float = Field(
        0.1, ge=0, description="A population stability index above this gives a warning, unless chance explains it."
    )
    fail_above: float | None = Field(
        0.25,
        ge=0,
        description="A population stability index above this stops the run, unless chance explains it; empty: none does.",
    )

    @model_validator(mode="after")
    def _warns_first(self) -> "DriftParams":
        if self.fail_above is not None and self.fail_above < self.warn_above:
            raise ValueError(
                f"drift: expected warn_above ≤ fail_above; found {self.warn_above} > {self.fail_above}. Raise fail_above."
            )
        return self


@artifact_task("drift")
def measure_drift(draft: Draft, base: ArtifactRef, dataset: ArtifactRef) -> None:
    """Compare the events that a dataset has and its base does not have with the base's events."""
    old, new = open_dataset(base), open_dataset(dataset)
    before, later = drift_events(old), added_events(old, new)
    found = [one.model_dump() for one in measure_stability(before, later, old.scale.codes + 1)]
    (draft.path / "drift.json").write_text(json.dumps(found, indent=2, allow_nan=False))
    draft.rows = len(found)
    draft.facts = {"later_events": len(later.codes), "measures": found}


def drift_events(data: TransitionDataset) -> Events:
    """All events of a dataset."""
    users = np.repeat(data.user_ids, np.diff(data.head.offset))
    return Events(users, data.movie_ids[data.item.numpy()], data.rating_code.numpy(), data.timestamps())


def added_events(old: TransitionDataset, new: TransitionDataset) -> Events:
    """The events of a dataset that another one does not have, by user, movie and time."""
    tables = []
    for events in (drift_events(old), drift_events(new)):
        columns = dict(zip(KEYS, (events.user_ids, events.movie_ids, events.timestamps), strict=True))
        tables.append(pa.table(columns | {"code": events.codes}))
    added = tables[1].join(tables[0], KEYS, join_type="left anti")
    return Events(*(added[name].to_numpy() for name in ("user", "movie", "code", "timestamp")))


@artifact_task("validation-drift")
def validate_drift(draft: Draft, drift: ArtifactRef, params: DriftParams) -> None:
    """Validate the indices and write their Data Docs."""
    keep(draft, PROCESS.validate(drift_suite, with_limits(drift, params), draft.path))


def with_limits(drift: ArtifactRef, params: DriftParams) -> pd.DataFrame:
    """A row per measure, with its index and limits; a limit below what chance explains is raised to it."""
    table = pd.DataFrame(artifact_store().manifest(drift).facts["measures"])
    failing = np.inf if params.fail_above is None else params.fail_above
    return table.assign(
        warn_above=np.maximum(params.warn_above, table["by_chance"]),
        fail_above=np.maximum(failing, table["by_chance"]),
    )


@task(name="show-drift")
def show_drift(drift: ArtifactRef, params: DriftParams) -> None:
    """Show the indices as a table in the Prefect UI, and emit the event `marquee.drift.found` if one is above its limit."""
    table = with_limits(drift, params)
    rows = json.loads(table.assign(fail_above=table["fail_above"].replace(np.inf, None)).to_json(orient="records"))
    later = artifact_store().manifest(drift).facts["later_events"]
    show_table("drift", rows, f"Population stability of {later:,} later events against the base")
    shown = ({name: "–" if row[name] is None else str(row[name]) for name in COLUMNS} for row in rows)
    add_section("Drift of later events", markdown_table(shown))
    if (table["psi"] > table["warn_above"]).any():
        emit_event(
            event="marquee.drift.found",
            resource={"prefect.resource.id": "marquee.drift", "prefect.resource.name": "drift of later events"},
            payload={"measures": rows, "stops": bool((table["psi"] > table["fail_above"]).any())},
        )


def pass_drift_gate(base: ArtifactRef, dataset: ArtifactRef, params: DriftParams) -> None:
    """Compare later events with those before, show the result, and stop the flow if they differ too much.

    Raises:
        GateError: an index is above `fail_above`.
    """
    drift = measure_drift(base, dataset)
    show_drift(drift, params)
    pass_gate("drift", validate_drift(drift, params))
