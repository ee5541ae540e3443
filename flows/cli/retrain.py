"""`marquee retrain`."""

import shlex
import sys
from itertools import islice
from pathlib import Path
from typing import Annotated

import typer

from flows.cli.options import DataOption, DeviceOption, MetadataOption, ProfileOption, SetOption, ToOption
from flows.cli.output import one_of, print_values


def retrain(
    profile: ProfileOption = "sample",
    data: DataOption = None,
    metadata: MetadataOption = "",
    device: DeviceOption = "auto",
    to: ToOption = None,
    on_new_data: Annotated[
        bool,
        typer.Option(
            "--on-new-data", help="End early unless the source has changed; then extend the dataset published last."
        ),
    ] = False,
    changes: SetOption = None,
) -> None:
    """Run all stages: build or extend a dataset, train, evaluate and publish."""
    from flows.cli.running import headline_of, path_of, published_to, resolved_profile, run
    from flows.retrain import Retrained
    from flows.retrain import retrain as flow
    from tasks.publish import best_policy
    from tasks.train import Device

    chosen = resolved_profile(profile, data, metadata, changes)
    made = run(
        flow,
        profile=profile,
        source=chosen.source,
        features=chosen.features,
        export=chosen.export,
        cluster=chosen.cluster,
        train=chosen.train,
        device=one_of(Device, "--device", device),
        evaluation=chosen.evaluate,
        publish=published_to(chosen, to),
        on_new_data=on_new_data,
        drift=chosen.drift,
    )
    if made is None:
        typer.echo("\nNothing is new since the last publication, so nothing was trained.")
        return
    result = Retrained.model_validate(made)
    best, _ = best_policy(result.policies)
    typer.echo(f"\n{headline_of(result.report)}")
    typer.echo(f"To pull the policy elsewhere: marquee pull policy@latest --from {result.published} --to pulled")
    typer.echo(f"To get recommendations:\n  {recommend_command(path_of(result.policies[best]), result.published)}")
    others = (name for name in result.policies if name != best)
    typer.echo(f"To rate movies and compare policies on a page:\n  {page_command(result.published, *others)}\n")
    print_values(
        DATASET=path_of(result.dataset, "transitions.h5"),
        POLICY=path_of(result.policies[best]),
        REPORT=path_of(result.report, "report.html"),
        PUBLISHED=result.published,
    )


def recommend_command(policy: Path, published: str) -> str:
    """A command line that recommends items to somebody who likes two popular ones.

    Args:
        policy: the folder of the policy that is policy@latest.
        published: where it is published.
    """
    from serving.catalogue import Catalogue
    from serving.loading import ratings_of

    catalogue, highest = Catalogue.read(policy / "items.parquet"), ratings_of(policy).scale.highest
    popular = catalogue.events.argsort(descending=True, stable=True).tolist()
    titles = [catalogue.with_year(item) for item in popular if catalogue.titles[item]]
    known = (title for title in titles if catalogue.by_title.match(title).item is not None)
    rated = [word for title in islice(known, 2) for word in ("--rate", f"{title}={highest:g}")]
    return command_line("recommend", published, "--policy", "policy@latest", *rated)


def page_command(published: str, *others: str) -> str:
    """A command line that shows policy@latest beside the first of the other policies.

    Args:
        published: where they are published.
        others: learners of the other policies.
    """
    names = ("latest", *others[:1])
    return command_line("app", published, *(word for name in names for word in ("--policy", f"policy@{name}")))


def command_line(command: str, published: str, *words: str) -> str:
    """A command line of this program; it names the place where policies are published unless that is the default."""
    from storage.artifacts.inspection import PUBLISHED
    from storage.home import home

    program = sys.argv[0] if Path(sys.argv[0]).name == "marquee" else "marquee"
    place = [] if published == (home() / PUBLISHED).as_uri() else ["--from", published]
    return shlex.join([program, command, *place, *words])
