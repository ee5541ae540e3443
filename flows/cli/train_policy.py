"""`marquee train-policy`."""

from typing import Annotated

import typer

from flows.cli.options import DatasetOption, DeviceOption, ProfileOption, SetOption
from flows.cli.output import one_of, print_values


def train_policy(
    profile: ProfileOption = "sample",
    dataset: DatasetOption = "latest",
    device: DeviceOption = "auto",
    states: Annotated[
        str | None, typer.Option(help="Train on states that encode-states made: a digest, its first digits, or latest.")
    ] = None,
    changes: SetOption = None,
) -> None:
    """Train a policy with each learner on a dataset; training that was interrupted is resumed."""
    from flows.cli.running import path_of, resolved_profile, run
    from flows.train_policy import train_policy as flow
    from tasks.train import Device

    train = resolved_profile(profile, changes=changes).train
    where = one_of(Device, "--device", device)
    policies = run(flow, profile=profile, dataset=dataset, train=train, device=where, states=states)
    print_values(**{f"POLICY_{name.upper()}": path_of(ref) for name, ref in policies.items()})
