"""`marquee evaluate-policy`."""

from typing import Annotated

import typer

from flows.cli.options import DatasetOption, ProfileOption, PublishedOption, SetOption
from flows.cli.output import print_values


def evaluate_policy(
    profile: ProfileOption = "sample",
    dataset: DatasetOption = "latest",
    champion: Annotated[bool, typer.Option(help="Whether to evaluate the published champion too.")] = False,
    source: PublishedOption = None,
    changes: SetOption = None,
) -> None:
    """Evaluate the newest policies of a dataset and the baselines on test users, and write the report."""
    from flows.cli.running import path_of, published_to, resolved_profile, run
    from flows.evaluate_policy import evaluate_policy as flow

    chosen = resolved_profile(profile, changes=changes)
    report = run(
        flow,
        profile=profile,
        dataset=dataset,
        evaluation=chosen.evaluate,
        publish=published_to(chosen, source),
        with_champion=champion,
    )
    print_values(REPORT=path_of(report, "report.html"))
