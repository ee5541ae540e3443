"""The command line: the same flows and parameters as the deployments, on Prefect's ephemeral server."""

import json
import logging
import os

# Prefect reads these when it is imported; a user's own settings win.
for name, value in {
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_LOGGING_EXTRA_LOGGERS": "marquee",
    "DO_NOT_TRACK": "1",
}.items():
    os.environ.setdefault(name, value)

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, cast, get_args

import typer
import yaml
from prefect import Flow, State
from prefect.settings import get_current_settings
from pydantic import ValidationError
from rich.progress import Progress

from flows.build_dataset import build_dataset
from flows.evaluate_policy import evaluate_policy
from flows.extend_dataset import extend_dataset
from flows.parameters import Profile, ProfileName, load_profile, profile_values
from flows.publish_artifacts import publish_artifacts
from flows.retrain import Retrained, retrain
from flows.train_policy import train_policy
from models.encoders.errors import EncoderError
from models.errors import LearnerError
from storage.artifacts.object_store import open_store
from storage.artifacts.publishing import pull as pull_artifact
from storage.artifacts.store import ArtifactRef
from storage.dataset.dense import DenseDtype, export_dense
from storage.dataset.format import Split
from storage.errors import MarqueeError
from tasks.caching import artifact_store
from tasks.publish import PublishParams, best_policy
from tasks.train import Device

R = TypeVar("R")
app = typer.Typer(
    name="marquee",
    help="Raw movie ratings in, a published and evaluated recommendation policy out.\n\n"
    "Every command runs a Prefect flow; what an earlier run finished is used again. "
    "Artifacts live below MARQUEE_HOME (.marquee/).",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,
)

ProfileOption = Annotated[ProfileName, typer.Option(help="Named parameter set; see flows/profiles/.")]
DataOption = Annotated[
    str | None,
    typer.Option(
        "--data", help="A MovieLens release: a folder, a .zip or a name to download, instead of the profile's."
    ),
]
MetadataOption = Annotated[
    str, typer.Option("--metadata", help="Exports or folders of them, comma-separated, the most trusted first.")
]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set", help="One parameter, e.g. --set train.trainer.steps=500; may be repeated.", metavar="NAME=VALUE"
    ),
]
DatasetOption = Annotated[str, typer.Option(help="Digest of a dataset, its beginning, or latest.")]
DeviceOption = Annotated[Device, typer.Option(help="auto takes the GPU where there is one.")]
PublishedOption = Annotated[
    str | None, typer.Option("--from", help="s3://bucket/prefix or a folder for policy@…; else the work directory's.")
]
ToOption = Annotated[str | None, typer.Option(help="s3://bucket/prefix or a folder; else the work directory's.")]


def resolve(
    profile: ProfileName, data: str | None = None, metadata: str = "", changes: list[str] | None = None
) -> Profile:
    """The profile with a user's changes, checked like any other parameters.

    Raises:
        typer.BadParameter: a change has no name, no value, or no such parameter.
    """
    known = load_profile(profile).model_dump(mode="json")
    values = profile_values(profile)  # only what is said: a preset fills in the rest
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
            raise typer.BadParameter(
                f"{change!r}: expected NAME=VALUE with a parameter of the profile, e.g. features.dim=64"
            )
        place[last] = yaml.safe_load(text)
        said = values
        for parent in parents:
            said = said.setdefault(parent, {})
        said[last] = place[last]
    try:
        return Profile.model_validate(values)
    except ValidationError as error:
        problems = error.errors(include_input=False, include_url=False)  # an input may hold a secret
        raise typer.BadParameter(
            "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in problems)
        ) from None


@contextmanager
def readable_errors() -> Iterator[None]:
    """Print an error that a user is meant to read, without a traceback, and exit with 1."""
    try:
        yield
    except (MarqueeError, LearnerError, EncoderError) as error:
        typer.secho(f"\n{type(error).__name__}: {error}", fg="red", err=True)
        raise typer.Exit(1) from None


def run(flow: Flow[..., R], **parameters: Any) -> tuple[R, str]:
    """Run a flow here; a typed error becomes one clear message. Returns its result and the run's id."""
    with readable_errors():
        state = cast("State[R]", flow(**parameters, return_state=True))
        return state.result(), str(state.state_details.flow_run_id)


def ui_hint(flow_run_id: str) -> str:
    """How to see a run in the Prefect UI."""
    settings = get_current_settings()
    if settings.api.url:
        return f"This run in the Prefect UI: {(settings.ui_url or settings.api.url.removesuffix('/api'))}/runs/flow-run/{flow_run_id}"
    return (
        "To see this run in the Prefect UI: .venv/bin/prefect server start\n"
        f"  then open http://127.0.0.1:4200/runs/flow-run/{flow_run_id}"
    )


def path_of(ref: ArtifactRef, name: str = "") -> Path:
    """A file of an artifact of this work directory."""
    return artifact_store().folder(ref.kind, ref.digest) / name


def say(**values: object) -> None:
    """KEY=VALUE lines, for scripts; the last to be printed."""
    logging.getLogger("prefect").setLevel(logging.WARNING)
    for key, value in values.items():
        typer.echo(f"{key}={value}")


@app.command("build-dataset")
def build_dataset_command(
    profile: ProfileOption = "sample",
    data: DataOption = None,
    metadata: MetadataOption = "",
    changes: SetOption = None,
) -> None:
    """Ingest, embed, gate and export: raw ratings to a transition dataset."""
    preset = resolve(profile, data, metadata, changes)
    dataset, flow_run = run(
        build_dataset,
        profile=profile,
        source=preset.source,
        features=preset.features,
        export=preset.export,
        cluster=preset.cluster,
    )
    typer.echo(ui_hint(flow_run))
    say(DATASET=path_of(dataset, "transitions.h5"))


@app.command("extend-dataset")
def extend_dataset_command(
    profile: ProfileOption = "sample",
    dataset: DatasetOption = "latest",
    data: DataOption = None,
    metadata: MetadataOption = "",
    changes: SetOption = None,
) -> None:
    """Append later ratings, users and movies to a dataset; old items are not encoded again."""
    preset = resolve(profile, data, metadata, changes)
    extended, flow_run = run(
        extend_dataset, profile=profile, dataset=dataset, source=preset.source, cluster=preset.cluster
    )
    typer.echo(ui_hint(flow_run))
    say(DATASET=path_of(extended, "transitions.h5"))


@app.command("export")
def export_command(
    dataset: Annotated[Path, typer.Option(help="A transitions.h5.")],
    out: Annotated[Path, typer.Option(help="The file to make.")],
    layout: Annotated[
        Literal["dense"], typer.Option(help="dense: every transition written out, D4RL's names.")
    ] = "dense",
    dtype: Annotated[DenseDtype, typer.Option(help="Of observations and actions.")] = "float32",
    splits: Annotated[str, typer.Option(help="train, validation, test, time or all; comma-separated.")] = "train",
) -> None:
    """Write a dataset for readers that know nothing of Marquee: CORL, d3rlpy, plain h5py."""
    wanted = cast(tuple[Split, ...], tuple(name.strip() for name in splits.split(",")))
    if unknown := set(wanted) - set(get_args(Split)):
        raise typer.BadParameter(
            f"--splits: expected some of {', '.join(get_args(Split))}; found {', '.join(unknown)}."
        )
    with readable_errors(), Progress() as bar:
        shown = bar.add_task(f"{layout} {dtype}", total=None)
        facts = export_dense(
            dataset,
            out,
            dtype=dtype,
            splits=wanted,
            progress=lambda done, total: bar.update(shown, completed=done, total=total),
        )
    typer.echo(json.dumps(facts))
    say(EXPORTED=out.absolute())


@app.command("train-policy")
def train_policy_command(
    profile: ProfileOption = "sample",
    dataset: DatasetOption = "latest",
    device: DeviceOption = "auto",
    changes: SetOption = None,
) -> None:
    """Train every learner on a dataset; resumes what was interrupted."""
    policies, flow_run = run(
        train_policy, profile=profile, dataset=dataset, train=resolve(profile, changes=changes).train, device=device
    )
    typer.echo(ui_hint(flow_run))
    say(**{f"POLICY_{name.upper()}": path_of(ref) for name, ref in policies.items()})


@app.command("evaluate-policy")
def evaluate_policy_command(
    profile: ProfileOption = "sample",
    dataset: DatasetOption = "latest",
    champion: Annotated[bool, typer.Option(help="Whether the published champion is judged too.")] = False,
    source: PublishedOption = None,
    changes: SetOption = None,
) -> None:
    """Judge the newest policies of a dataset beside the baselines, and the champion if wished; writes the report."""
    report, flow_run = run(
        evaluate_policy,
        profile=profile,
        dataset=dataset,
        evaluation=resolve(profile, changes=changes).evaluate,
        published=source,
        with_champion=champion,
    )
    typer.echo(ui_hint(flow_run))
    say(REPORT=path_of(report, "report.html"))


@app.command("compare")
def compare_command(
    policies: Annotated[
        list[str],
        typer.Argument(
            help="policy@champion, policy@<digest> …, a digest or its beginning, or a folder of a pulled policy."
        ),
    ],
    source: PublishedOption = None,
    profile: ProfileOption = "sample",
    dataset: DatasetOption = "latest",
    changes: SetOption = None,
) -> None:
    """Judge any policies side by side, on one dataset and the same steps; writes the report."""
    report, flow_run = run(
        evaluate_policy,
        profile=profile,
        dataset=dataset,
        policies=policies,
        evaluation=resolve(profile, changes=changes).evaluate,
        published=source,
    )
    typer.echo(f"\n{artifact_store().manifest(report).facts['headline']}\n{ui_hint(flow_run)}")
    say(REPORT=path_of(report, "report.html"))


@app.command("publish")
def publish_command(
    profile: ProfileOption = "sample",
    report: Annotated[str, typer.Option(help="Digest of a report, its beginning, or latest.")] = "latest",
    to: ToOption = None,
    changes: SetOption = None,
) -> None:
    """Publish a report with its dataset and policies, and move the aliases."""
    preset = resolve(profile, changes=changes)
    uri, flow_run = run(publish_artifacts, profile=profile, report=report, publish=published_to(preset, to))
    typer.echo(ui_hint(flow_run))
    say(PUBLISHED=uri)


def published_to(preset: Profile, to: str | None) -> PublishParams:
    """The profile's publishing parameters, with the command line's destination."""
    return preset.publish if to is None else preset.publish.model_copy(update={"to": to})


@app.command("pull")
def pull_command(
    spec: Annotated[str, typer.Argument(help="policy@latest, dataset@<digest>, report@latest, policy@champion …")],
    source: Annotated[str, typer.Option("--from", help="s3://bucket/prefix, or a folder.")],
    to: Annotated[Path, typer.Option(help="Folder that gets <kind>/<digest>/.")] = Path("pulled"),
) -> None:
    """Download a published artifact, verify every hash; run again to resume."""
    with readable_errors():
        ref = pull_artifact(open_store(source), spec, to)
    typer.echo(f"{ref.kind}/{ref.digest}: {ref.size_bytes:,} bytes, verified")
    say(PULLED=to.absolute() / ref.kind / ref.digest)


@app.command("retrain")
def retrain_command(
    profile: ProfileOption = "sample",
    data: DataOption = None,
    metadata: MetadataOption = "",
    device: DeviceOption = "auto",
    to: ToOption = None,
    changes: SetOption = None,
) -> None:
    """All of it: raw ratings to published artifacts."""
    preset = resolve(profile, data, metadata, changes)
    made, flow_run = run(
        retrain,
        profile=profile,
        device=device,
        publish=published_to(preset, to),
        **{name: getattr(preset, name) for name in ("source", "features", "export", "cluster", "train")},
        evaluation=preset.evaluate,
    )
    result = Retrained.model_validate(made)
    manifest = artifact_store().manifest(result.report)
    typer.echo(f"\n{manifest.facts['headline']}\n{ui_hint(flow_run)}")
    typer.echo(f"Pull the policy elsewhere: marquee pull policy@latest --from {result.published} --to pulled\n")
    best, _ = best_policy(result.policies)
    say(
        DATASET=path_of(result.dataset, "transitions.h5"),
        POLICY=path_of(result.policies[best]),
        REPORT=path_of(result.report, "report.html"),
        PUBLISHED=result.published,
    )


if __name__ == "__main__":
    app()
