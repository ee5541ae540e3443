"""`marquee encode-states`."""

from typing import Annotated

import typer

from flows.cli.options import DatasetOption, DeviceOption, ProfileOption, PublishedOption, SetOption
from flows.cli.output import one_of, print_values


def encode_states(
    profile: ProfileOption = "sample",
    dataset: DatasetOption = "latest",
    policy: Annotated[
        str,
        typer.Option(
            help="A policy with a state encoder: a digest or its first digits, latest, the folder of a pulled one, or "
            "policy@<alias or digest>."
        ),
    ] = "latest",
    source: PublishedOption = None,
    device: DeviceOption = "auto",
    changes: SetOption = None,
) -> None:
    """Encode a dataset's observations with a policy's state encoder, to train on them with train-policy --states."""
    from flows.cli.running import path_of, published_to, resolved_profile, run
    from flows.encode_states import encode_states as flow
    from tasks.train import Device

    states = run(
        flow,
        profile=profile,
        dataset=dataset,
        policy=policy,
        publish=published_to(resolved_profile(profile, changes=changes), source),
        device=one_of(Device, "--device", device),
    )
    print_values(STATES=path_of(states))
