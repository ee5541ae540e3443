"""`marquee export-onnx`."""

import json
from pathlib import Path
from typing import Annotated

import typer

from flows.cli.options import ServedFromOption, place_to_serve
from flows.cli.output import print_values


def export_onnx(
    out: Annotated[Path, typer.Option(help="The folder to write policy.onnx and items.json into.")],
    policy: Annotated[str, typer.Option(help="policy@<alias or digest>.")] = "policy@champion",
    source: ServedFromOption = None,
) -> None:
    """Write a policy as an ONNX file, which runs without Python."""
    from serving.loading import load
    from serving.onnx_export import export_onnx as write

    facts = write(load(place_to_serve(source), policy), out)
    typer.echo(json.dumps(facts))
    print_values(EXPORTED=(out / "policy.onnx").absolute())
