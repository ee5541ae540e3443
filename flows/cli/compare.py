"""`marquee compare`."""

from typing import Annotated

import typer

from flows.cli.options import DatasetOption, ProfileOption, PublishedOption, SetOption
from flows.cli.output import print_values


def compare(
    policies: Annotated[
        list[str],
        typer.Argument(
            help="policy@champion, policy@<digest>, a digest or its first digits, or the folder of a pulled policy."
        ),
    ],
    source: PublishedOption = None,
    profile: ProfileOption = "sample",
    dataset: DatasetOption = "latest",
    changes: SetOption = None,
) -> None:
    """Evaluate the policies that you name on the same test users of one dataset, and write the report."""
    from flows.cli.running import headline_of, path_of, published_to, resolved_profile, run
    from flows.evaluate_policy import evaluate_policy as flow

    chosen = resolved_profile(profile, changes=changes)
    report = run(
        flow,
        profile=profile,
        dataset=dataset,
        policies=policies,
        evaluation=chosen.evaluate,
        publish=published_to(chosen, source),
    )
    typer.echo(f"\n{headline_of(report)}")
    print_values(REPORT=path_of(report, "report.html"))
