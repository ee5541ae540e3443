"""`marquee extend-dataset`."""

from typing import Annotated

import typer

from flows.cli.options import DataOption, DatasetOption, MetadataOption, ProfileOption, SetOption
from flows.cli.output import print_values


def extend_dataset(
    profile: ProfileOption = "sample",
    dataset: DatasetOption = "latest",
    data: DataOption = None,
    metadata: MetadataOption = "",
    move_time_cut: Annotated[
        bool, typer.Option("--move-time-cut", help="Move the time cut, so that later ratings are used in training.")
    ] = False,
    changes: SetOption = None,
) -> None:
    """Append later ratings, users and movies to a dataset; movies that it has keep their embeddings."""
    from flows.cli.running import path_of, resolved_profile, run
    from flows.extend_dataset import extend_dataset as flow

    chosen = resolved_profile(profile, data, metadata, changes)
    extended = run(
        flow,
        profile=profile,
        dataset=dataset,
        source=chosen.source,
        cluster=chosen.cluster,
        move_time_cut=move_time_cut,
    )
    print_values(DATASET=path_of(extended, "transitions.h5"))
