"""A decorator that makes a function a Prefect task whose result is a cached artifact.

The artifact store alone is the cache: a task is cached if the artifact with its digest, which includes the code, is whole.
Prefect's own cache is off. Its policies never hit in another run or ignore a changed helper function, and its records hit
although the artifact is gone or damaged, or fail every later run if they are damaged themselves.
"""

import inspect
import logging
import os
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from functools import wraps
from typing import Any, Concatenate, ParamSpec, cast

import httpx
from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.states import Completed
from prefect.tasks import Task, exponential_backoff
from pydantic import BaseModel

from storage.artifacts.manifest import Depth, Recipe
from storage.artifacts.store import ArtifactRef, ArtifactStore, Draft
from storage.errors import MarqueeError
from storage.home import home, use_home
from tasks.fingerprint import code_fingerprint
from tasks.steps import mark_made, timed

logging.getLogger("marquee").setLevel(logging.INFO)
logging.getLogger("distributed").setLevel(logging.WARNING)

P = ParamSpec("P")
# Called before an artifact is made, so that a flow starts a helper process beside that work, and only if there is work.
before_work: ContextVar[Callable[[], None]] = ContextVar("before_work", default=lambda: None)
Work = Callable[[Callable[..., None], Draft, dict[str, Any]], None]
# How a draft is filled, from the function, the draft and the other arguments: here, or in a process of its own.
do_work: ContextVar[Work] = ContextVar("do_work", default=lambda function, draft, given: function(draft, **given))


def artifact_store() -> ArtifactStore:
    """The artifacts of this work directory; `MARQUEE_VERIFY` (manifest, sizes or hashes) sets how they are verified."""
    use_home()
    depth = os.environ.get("MARQUEE_VERIFY", "hashes")
    try:
        return ArtifactStore(home() / "artifacts", Depth[depth.upper()])
    except KeyError:
        raise MarqueeError(
            f"MARQUEE_VERIFY: expected manifest, sizes or hashes; found {depth!r}. Set one of these."
        ) from None


def artifact_task(
    kind: str, *, schema_version: int = 1, outside: Sequence[str] = ()
) -> Callable[[Callable[Concatenate[Draft, P], None]], Callable[P, ArtifactRef]]:
    """Make a function that fills a draft, `function(draft, ...)`, a task that returns a reference to the artifact.

    Arguments that are `ArtifactRef`s, or dictionaries of them, are the inputs of the artifact's recipe. All others are
    its parameters, except those named in `outside`.

    Args:
        kind: the artifact's kind, and the task's name in the Prefect UI.
        schema_version: raise it when readers of the artifact must change.
        outside: names of arguments that say how or where the work is done; they must not change the result.
    """

    def decorate(function: Callable[Concatenate[Draft, P], None]) -> Callable[P, ArtifactRef]:
        signature = inspect.signature(function)

        def run(recipe: Recipe, arguments: dict[str, Any]) -> ArtifactRef | State[ArtifactRef]:
            if (found := artifact_store().find(recipe.kind, recipe.digest)) is not None:
                return Completed(name="Cached", data=found)
            before_work.get()()
            mark_made()
            inputs = list(references(arguments).values())
            with artifact_store().create(recipe, inputs) as draft:
                do_work.get()(cast(Callable[..., None], function), draft, arguments)
            return draft.committed

        prefect_task = artifact_prefect_task(run, kind, function.__doc__)

        @wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> ArtifactRef:
            bound = signature.bind(cast(Draft, None), *args, **kwargs)
            bound.apply_defaults()
            arguments = dict(list(bound.arguments.items())[1:])
            recipe = Recipe(
                kind=kind,
                schema_version=schema_version,
                parameters={
                    name: value.model_dump(mode="json") if isinstance(value, BaseModel) else value
                    for name, value in arguments.items()
                    if name not in outside and not references({name: value})
                },
                inputs={name: ref.name_as_input for name, ref in references(arguments).items()},
                code=code_fingerprint(function),
            )
            return timed(kind, lambda: prefect_task(recipe, arguments), artifact_store())

        return cast(Callable[P, ArtifactRef], call)

    return decorate


def references(arguments: dict[str, Any]) -> dict[str, ArtifactRef]:
    """The references among the arguments; a reference in a dictionary is named `argument.key`."""
    found: dict[str, ArtifactRef] = {}
    for name, value in arguments.items():
        if isinstance(value, ArtifactRef):
            found[name] = value
        elif isinstance(value, dict):
            found |= {f"{name}.{key}": ref for key, ref in value.items() if isinstance(ref, ArtifactRef)}
    return found


def artifact_prefect_task(
    run: Callable[[Recipe, dict[str, Any]], ArtifactRef | State[ArtifactRef]], kind: str, purpose: str | None
) -> Task[[Recipe, dict[str, Any]], ArtifactRef | State[ArtifactRef]]:
    """The Prefect task around `run`: Prefect keeps no result of it, and errors that are not typed are retried twice."""
    return task(
        name=kind,
        description=inspect.cleandoc(purpose or ""),
        retries=2,
        retry_delay_seconds=exponential_backoff(2),
        retry_jitter_factor=0.5,
        retry_condition_fn=is_worth_retrying,
        persist_result=False,
        cache_policy=NO_CACHE,
    )(run)


async def is_worth_retrying(_task: Task[..., Any], _run: TaskRun, state: State[Any]) -> bool:
    """Whether a task may succeed when it runs again.

    Not after a typed error, such as bad input or a full disk; and not after Prefect's client has tried for a minute to reach
    its server, as httpx is used by no task without typed errors.
    """
    error = await state.aresult(raise_on_failure=False)
    return not isinstance(error, MarqueeError | ValueError | httpx.TransportError)
