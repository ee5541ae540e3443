"""`marquee export`."""

import json
from pathlib import Path
from typing import Annotated, Literal

import typer

from flows.cli.output import one_of, print_values


def export(
    dataset: Annotated[Path, typer.Option(help="The transitions.h5 of a dataset.")],
    out: Annotated[Path, typer.Option(help="The file to write.")],
    layout: Annotated[
        Literal["dense"], typer.Option(help="dense: every transition in full, under the names that D4RL uses.")
    ] = "dense",
    dtype: Annotated[str, typer.Option(help="float32 or float16, for observations and actions.")] = "float32",
    splits: Annotated[str, typer.Option(help="train, validation, test, time or all; separated by commas.")] = "train",
) -> None:
    """Write a dataset in the format that CORL and d3rlpy read."""
    from rich.progress import Progress

    from storage.dataset.dense_writer import DenseDtype, export_dense
    from storage.dataset.format import Split

    wanted = [one_of(Split, "--splits", name.strip()) for name in splits.split(",")]
    kind: DenseDtype = one_of(DenseDtype, "--dtype", dtype)
    with Progress() as bar:
        shown = bar.add_task(f"{layout} {dtype}", total=None)
        facts = export_dense(
            dataset,
            out,
            dtype=kind,
            splits=wanted,
            progress=lambda done, total: bar.update(shown, completed=done, total=total),
        )
    typer.echo(json.dumps(facts))
    print_values(EXPORTED=out.absolute())
