"""`marquee publish`."""

from typing import Annotated

import typer

from flows.cli.options import ProfileOption, SetOption, ToOption
from flows.cli.output import print_values


def publish(
    profile: ProfileOption = "sample",
    report: Annotated[str, typer.Option(help="The digest of a report, its first digits, or latest.")] = "latest",
    to: ToOption = None,
    changes: SetOption = None,
) -> None:
    """Publish a report with its dataset and policies, and move the aliases latest and champion."""
    from flows.cli.running import published_to, resolved_profile, run
    from flows.publish_artifacts import publish_artifacts as flow

    chosen = published_to(resolved_profile(profile, changes=changes), to)
    uri = run(flow, profile=profile, report=report, publish=chosen)
    print_values(PUBLISHED=uri)
