"""A decorator that makes a function a Prefect task whose result is a cached artifact.

Prefect's cache policies never hit in another run, ignore a changed helper function, or hit although the file was deleted.
Here the cache key is the artifact's digest, which includes the code, and a hit requires that the artifact is whole.
"""

import hashlib
import inspect
import logging
import os
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from functools import wraps
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, cast

from prefect import task
from prefect.client.schemas.objects import State, TaskRun
from prefect.serializers import JSONSerializer
from prefect.tasks import Task, exponential_backoff
from pydantic import BaseModel

from storage.artifacts.manifest import Depth, Recipe
from storage.artifacts.store import ArtifactRef, ArtifactStore, Draft
from storage.errors import MarqueeError
from tasks.fingerprint import code_fingerprint

logging.getLogger("marquee").setLevel(logging.INFO)
logging.getLogger("distributed").setLevel(logging.WARNING)

P = ParamSpec("P")
# Called before an artifact is made, so that a flow starts a helper process beside that work, and only if there is work.
before_work: ContextVar[Callable[[], None]] = ContextVar("before_work", default=lambda: None)


def home() -> Path:
    """Marquee's work directory: `MARQUEE_HOME`, by default `.marquee/` where the process runs."""
    return Path(os.environ.get("MARQUEE_HOME", ".marquee")).absolute()


def artifact_store() -> ArtifactStore:
    """The artifacts of this work directory; `MARQUEE_VERIFY` (manifest, sizes or hashes) sets how they are verified."""
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

        def run(recipe: Recipe, arguments: dict[str, Any]) -> ArtifactRef:
            # Another Prefect server, or a reset one, does not know the artifacts of this work directory.
            if (found := artifact_store().find(recipe.kind, recipe.digest)) is not None:
                return found
            inputs = list(references(arguments).values())
            with artifact_store().create(recipe, inputs) as draft:
                cast(Callable[..., None], function)(draft, **arguments)
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
                inputs={name: ref.digest for name, ref in references(arguments).items()},
                code=code_fingerprint(function),
            )
            store = artifact_store()
            missing = store.find(kind, recipe.digest) is None
            if missing:
                before_work.get()()
            place = hashlib.sha256(str(store.root).encode()).hexdigest()[:12]
            keyed = prefect_task.with_options(
                refresh_cache=missing, cache_key_fn=lambda *_: f"marquee-{kind}-{recipe.digest}-{place}"
            )
            return keyed(recipe, arguments)

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
    run: Callable[[Recipe, dict[str, Any]], ArtifactRef], kind: str, purpose: str | None
) -> Task[[Recipe, dict[str, Any]], ArtifactRef]:
    """The Prefect task around `run`: its result is stored as JSON, and errors that are not typed are retried twice."""
    return task(
        name=kind,
        description=inspect.cleandoc(purpose or ""),
        retries=2,
        retry_delay_seconds=exponential_backoff(2),
        retry_jitter_factor=0.5,
        retry_condition_fn=is_worth_retrying,
        persist_result=True,
        result_serializer=JSONSerializer(),
    )(run)


async def is_worth_retrying(_task: Task[..., Any], _run: TaskRun, state: State[Any]) -> bool:
    """Whether a task may succeed when it runs again: not after a typed error, such as bad input or a full disk."""
    error = await state.aresult(raise_on_failure=False)
    return not isinstance(error, MarqueeError | ValueError)
