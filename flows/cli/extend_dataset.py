"""`marquee extend-dataset`."""

from flows.cli.options import DataOption, DatasetOption, MetadataOption, ProfileOption, SetOption
from flows.cli.output import print_values


def extend_dataset(
    profile: ProfileOption = "sample",
    dataset: DatasetOption = "latest",
    data: DataOption = None,
    metadata: MetadataOption = "",
    changes: SetOption = None,
) -> None:
    """Append later ratings, users and movies to a dataset; movies that it has keep their embeddings."""
    from flows.cli.running import path_of, resolve, run
    from flows.extend_dataset import extend_dataset as flow

    chosen = resolve(profile, data, metadata, changes)
    extended = run(flow, profile=profile, dataset=dataset, source=chosen.source, cluster=chosen.cluster)
    print_values(DATASET=path_of(extended, "transitions.h5"))
