"""`marquee build-dataset`."""

from flows.cli.options import DataOption, MetadataOption, ProfileOption, SetOption
from flows.cli.output import print_values


def build_dataset(
    profile: ProfileOption = "sample",
    data: DataOption = None,
    metadata: MetadataOption = "",
    changes: SetOption = None,
) -> None:
    """Build a dataset of transitions from ratings and movie metadata, and validate every table."""
    from flows.build_dataset import build_dataset as flow
    from flows.cli.running import path_of, resolved_profile, run

    chosen = resolved_profile(profile, data, metadata, changes)
    dataset = run(
        flow,
        profile=profile,
        source=chosen.source,
        features=chosen.features,
        export=chosen.export,
        cluster=chosen.cluster,
    )
    print_values(DATASET=path_of(dataset, "transitions.h5"))
