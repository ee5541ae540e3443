"""Which failures of a task are tried again, and that a command keeps others from changing its work directory."""

import asyncio
from pathlib import Path

import pytest
from prefect.states import exception_to_failed_state

from models.errors import LearnerError
from storage.errors import MarqueeError, StorageFullError
from storage.home import HomeInUseError, alone_in
from tasks.caching import artifact_prefect_task, artifact_store, is_worth_retrying
from tasks.gates import GateError
from tasks.publish import publish_artifact

TASK = artifact_prefect_task(lambda recipe, arguments: None, "toy", "Make a toy.")  # type: ignore[arg-type, return-value]


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (MarqueeError("bad input"), False),
        (StorageFullError("full"), False),
        (GateError("failed"), False),
        (LearnerError("diverged"), False),
        (ValueError("wrong"), False),
        (OSError("a lost connection"), True),
        (RuntimeError("bad luck"), True),
    ],
    ids=lambda value: type(value).__name__,
)
def test_typed_errors_are_not_tried_again_and_others_are(error: Exception, expected: bool) -> None:
    async def decide() -> bool:
        return await is_worth_retrying(TASK, None, await exception_to_failed_state(error))  # type: ignore[arg-type]

    assert asyncio.run(decide()) == expected


@pytest.mark.parametrize("task", [TASK, publish_artifact], ids=["an artifact", "publishing"])
def test_tasks_are_tried_again_twice_on_that_condition(task: object) -> None:
    assert getattr(task, "retry_condition_fn", None) is is_worth_retrying
    assert getattr(task, "retries", None) == 2


def test_a_process_that_uses_the_artifacts_keeps_the_work_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for home in (first, second):
        home.mkdir()
        with alone_in(home):
            pass
        monkeypatch.setenv("MARQUEE_HOME", str(home))
        artifact_store()
        with pytest.raises(HomeInUseError), alone_in(home):
            pass
    with alone_in(first):  # it is used no more
        pass
