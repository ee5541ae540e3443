"""`marquee export-onnx`."""

import json
from pathlib import Path
from typing import Annotated

import typer

from flows.cli.output import print_values
from flows.cli.recommend import ServedFromOption


def export_onnx(
    out: Annotated[Path, typer.Option(help="The folder to write policy.onnx and items.json into.")],
    policy: Annotated[str, typer.Option(help="policy@<alias or digest>.")] = "policy@champion",
    source: ServedFromOption = None,
) -> None:
    """Write a policy as an ONNX file, which runs without Python."""
    from serving.loading import load
    from serving.onnx_export import export_onnx as write
    from storage.artifacts.inspection import PUBLISHED
    from storage.home import home

    facts = write(load(source or home() / PUBLISHED, policy), out)
    typer.echo(json.dumps(facts))
    print_values(EXPORTED=(out / "policy.onnx").absolute())
