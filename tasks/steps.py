"""The steps of a run: which artifacts it made, which it used again, and how long each took."""

import time
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass

from prefect.client.schemas.objects import State
from rich.filesize import decimal

from storage.artifacts.manifest import Manifest
from storage.artifacts.store import ArtifactRef, ArtifactStore
from tasks.terminal import terminal


@dataclass(frozen=True)
class Step:
    """One artifact that a run made or used again.

    Args:
        ref: the artifact.
        manifest: of the artifact.
        made: False if it was there already.
        seconds: wall time of the step in this run.
    """

    ref: ArtifactRef
    manifest: Manifest
    made: bool
    seconds: float

    @property
    def name(self) -> str:
        """The artifact's kind, and the learner of a policy."""
        learner = self.manifest.facts.get("learner")
        return self.ref.kind if learner is None else f"{self.ref.kind} {learner}"

    @property
    def time(self) -> str:
        """How long it took, or that it was there already."""
        return f"{self.seconds:,.1f} s" if self.made else "cached"


@dataclass
class Run:
    """What a flow run did so far, for its summary.

    Args:
        flow: the flow's name.
        steps: its steps, and those of its subflows.
        sections: further parts of the summary, as pairs of a heading and a text in markdown.
    """

    flow: str
    steps: list[Step]
    sections: list[tuple[str, str]]


current_run: ContextVar[Run | None] = ContextVar("current_run", default=None)


_made: ContextVar[list[bool] | None] = ContextVar("made", default=None)


def mark_made() -> None:
    """Say that the running step makes its artifact; a step that does not say so has found it."""
    if (made := _made.get()) is not None:
        made[0] = True


def timed(kind: str, work: Callable[[], ArtifactRef | State[ArtifactRef]], store: ArtifactStore) -> ArtifactRef:
    """Do the work of a step, and record it in the summary and in the terminal.

    Args:
        kind: of the artifact.
        work: finds or makes the artifact.
        store: where it is kept.
    """
    shown, began, made = terminal(), time.monotonic(), [False]
    token = _made.set(made)
    if shown:
        shown.begin(kind)
    try:
        found = work()
    finally:
        _made.reset(token)
        if shown:
            shown.clear()
    ref: ArtifactRef = found.result() if isinstance(found, State) else found
    step = Step(ref, store.manifest(ref), made[0], time.monotonic() - began)
    run = current_run.get()
    if run:
        run.steps.append(step)
    if shown:
        rows = f"{ref.rows:>12,} rows {decimal(ref.size_bytes):>9}"
        shown.line(run.flow if run else "", f"  {step.name:<24}{rows}   {step.time}")
    return ref


def in_words(facts: dict[str, object]) -> str:
    """The numbers and short texts of an artifact's facts in one line of a log; zeros and nested facts are left out."""
    found = []
    for name, value in facts.items():
        if isinstance(value, bool | dict | list | tuple) or not value:
            continue
        shown = f"{value:,}" if isinstance(value, int) else f"{value:.4g}" if isinstance(value, float) else str(value)
        if len(shown) <= 60:
            found.append(f"{name.replace('_', ' ')} {shown}")
    return ", ".join(found)
