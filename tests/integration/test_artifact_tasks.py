"""Tasks that make artifacts, in real flow runs: which errors are retried, and what makes another artifact."""

import asyncio
from collections import Counter
from uuid import UUID

import pytest
from prefect import flow, get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.context import FlowRunContext

from storage.artifacts.store import ArtifactRef, Draft
from storage.errors import DatasetError, MarqueeError
from tasks.caching import artifact_store, artifact_task

ERRORS = {
    "a typed error": DatasetError("expected rows; found none"),
    "a wrong value": ValueError("wrong"),
    "a lost connection": ConnectionResetError("the other side hung up"),
}
attempts: Counter[str] = Counter()


@artifact_task("toy")
def make_toy(draft: Draft, error: str) -> None:
    """Fail at the first attempt."""
    attempts[error] += 1
    if attempts[error] == 1:
        raise ERRORS[error]
    (draft.path / "toy").write_text(str(attempts[error]))


def run_counts(flow_run: UUID) -> list[int]:
    """How often Prefect ran each task of a flow run."""

    async def read() -> list[int]:
        async with get_client() as client:
            only = FlowRunFilter(id=FlowRunFilterId(any_=[flow_run]))
            return [run.run_count for run in await client.read_task_runs(flow_run_filter=only)]

    return asyncio.run(read())


@pytest.mark.parametrize("error", ERRORS)
def test_only_errors_that_may_pass_are_tried_again(prefect_here: None, error: str) -> None:
    runs: list[UUID] = []
    attempts.clear()

    @flow
    def toys() -> ArtifactRef:
        context = FlowRunContext.get()
        assert context is not None
        assert context.flow_run is not None
        runs.append(context.flow_run.id)
        return make_toy(error)

    if error == "a lost connection":
        made = toys()
        assert (artifact_store().open(made) / "toy").read_text() == "2"
        assert run_counts(runs[0]) == [2]
    else:
        with pytest.raises((MarqueeError, ValueError), match=str(ERRORS[error])):
            toys()
        assert attempts == {error: 1}
        assert run_counts(runs[0]) == [1]
        assert artifact_store().manifests("toy") == []


def test_another_schema_version_makes_another_artifact(prefect_here: None) -> None:
    made: list[int] = []

    def make(draft: Draft, size: int) -> None:
        made.append(size)
        (draft.path / "toy").write_text("x" * size)

    first, again, other = (artifact_task("toy", schema_version=version)(make)(5) for version in (1, 1, 2))
    assert first == again
    assert other.digest != first.digest
    assert made == [5, 5]
