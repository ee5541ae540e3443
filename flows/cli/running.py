"""Running a flow from the command line: parameters from a profile and `--set`, and where to find the results."""

from functools import wraps
from pathlib import Path
from typing import Any, TypeVar, cast

import httpx
import typer
import yaml
from prefect import Flow, State
from prefect.settings import get_current_settings
from pydantic import ValidationError

from flows.parameters import Profile, load_profile, problems_of, profile_values
from flows.profile_problems import suggestion
from storage.artifacts.store import ArtifactRef
from storage.errors import MarqueeError
from tasks.caching import artifact_store
from tasks.publish import PublishParams
from tasks.terminal import in_terminal

R = TypeVar("R")


class PrefectServerError(MarqueeError):
    """Prefect's server does not answer."""


def resolved_profile(
    profile: str, data: str | None = None, metadata: str = "", changes: list[str] | None = None
) -> Profile:
    """Read a profile and apply the options of a command to it.

    Args:
        profile: name or path of the profile.
        data: replaces the profile's release, and removes its metadata.
        metadata: replaces the profile's metadata; comma-separated.
        changes: `NAME=VALUE` with a dotted name and a YAML value, applied in order.

    Raises:
        ProfileError: see `flows.parameters.profile_values`.
        typer.BadParameter: a change has no name, no value, or no such parameter.
    """
    known = load_profile(profile).model_dump(mode="json")
    values = profile_values(profile)  # without the defaults: a learner's preset sets what nobody has set
    source = values.setdefault("source", {})
    if data is not None:
        source |= {"release": data, "metadata": []}
    if metadata:
        source["metadata"] = [part.strip() for part in metadata.split(",") if part.strip()]
    for change in changes or []:
        name, equals, text = change.partition("=")
        *parents, last = name.split(".")
        place: Any = known
        for parent in parents:
            place = place.get(parent) if isinstance(place, dict) else None
        if not equals or not isinstance(place, dict) or last not in place:
            hint = suggestion(last, place) if equals and isinstance(place, dict) else ""
            raise typer.BadParameter(
                f"{change!r}: expected NAME=VALUE with a parameter of the profile, e.g. features.dim=64{hint}"
            )
        place[last] = yaml.safe_load(text)
        target = values
        for parent in parents:
            target[parent] = dict(target.get(parent, {}))  # a copy: parameters that are a YAML alias share their values
            target = target[parent]
        target[last] = place[last]
    try:
        return Profile.model_validate(values)
    except ValidationError as error:
        raise typer.BadParameter(problems_of(error)) from None


def run(flow: Flow[..., R], **parameters: Any) -> R:
    """Run a flow in this process, print how to see the run in Prefect's UI, and return the flow's result.

    Raises:
        PrefectServerError: the server has ended or cannot be reached.
    """
    if get_current_settings().api.url is None:
        from flows.cli.temporary_server import TemporaryServer  # imports Prefect's server: seconds

        TemporaryServer()
    results: list[R] = []

    @wraps(flow.fn)
    def remembering(*args: Any, **kwargs: Any) -> R:
        results.append(flow.fn(*args, **kwargs))
        return results[-1]

    # If the server's last answer is lost, Prefect asks again, and has the state without the result.
    observed = flow.with_options()
    observed.fn = remembering
    try:
        with in_terminal():
            state = cast("State[R]", observed(**parameters, return_state=True))
        if not state.is_completed():
            state.result()
    except httpx.TransportError as error:  # Prefect's client has tried again for a minute
        url = get_current_settings().api.url or "Prefect's temporary server"
        raise PrefectServerError(
            f"{url}: expected an answer; found {type(error).__name__}. Start the server again (prefect server start), or "
            "unset PREFECT_API_URL to use a temporary one. Then run again: finished steps are kept."
        ) from error
    typer.echo(ui_hint(str(state.state_details.flow_run_id)))
    return results[-1]


def ui_hint(flow_run_id: str) -> str:
    """How to see a run in the Prefect UI."""
    settings = get_current_settings()
    if settings.api.url:
        ui = settings.ui_url or settings.api.url.removesuffix("/api")
        return f"This run in the Prefect UI: {ui}/runs/flow-run/{flow_run_id}"
    return (
        "To see this run in the Prefect UI: .venv/bin/prefect server start\n"
        f"  then open http://127.0.0.1:4200/runs/flow-run/{flow_run_id}"
    )


def path_of(ref: ArtifactRef, name: str = "") -> Path:
    """The path of an artifact's folder, or of a file in it."""
    return artifact_store().folder_of(ref) / name


def headline_of(report: ArtifactRef) -> str:
    """The sentence that sums up a report."""
    return str(artifact_store().manifest(report).facts["headline"])


def published_to(profile: Profile, to: str | None) -> PublishParams:
    """The profile's parameters of publishing, with the destination of the command line if there is one."""
    return profile.publish if to is None else profile.publish.model_copy(update={"to": to})
