"""`marquee retrain`."""

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
    from flows.cli.running import headline_of, path_of, published_to, resolve, run
    from flows.retrain import Retrained
    from flows.retrain import retrain as flow
    from tasks.publish import best_policy
    from tasks.train import Device

    chosen = resolve(profile, data, metadata, changes)
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
    typer.echo(f"To pull the policy elsewhere: marquee pull policy@latest --from {result.published} --to pulled\n")
    print_values(
        DATASET=path_of(result.dataset, "transitions.h5"),
        POLICY=path_of(result.policies[best]),
        REPORT=path_of(result.report, "report.html"),
        PUBLISHED=result.published,
    )
