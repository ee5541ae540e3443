"""`marquee train-online`."""

from typing import Annotated

import typer

from flows.cli.options import DatasetOption, ProfileOption, PublishedOption, SetOption
from flows.cli.output import print_values


def train_online(
    profile: ProfileOption = "sample",
    dataset: DatasetOption = "latest",
    fine_tune: Annotated[
        str | None,
        typer.Option(
            help="The policy to begin from: a learner with a policy on this dataset, a digest, a folder of a pulled policy, or "
            "policy@<alias or digest>; default: new weights."
        ),
    ] = None,
    published: PublishedOption = None,
    changes: SetOption = None,
) -> None:
    """Train a policy with simulated users; needs the extra marquee[online]."""
    from flows.cli.running import path_of, published_to, resolved_profile, run
    from flows.train_online import train_online as flow

    preset = resolved_profile(profile, changes=changes)
    policy = run(
        flow,
        profile=profile,
        dataset=dataset,
        online=preset.online,
        evaluation=preset.evaluate,
        fine_tune=fine_tune,
        publish=published_to(preset, published),
    )
    print_values(POLICY=path_of(policy))
