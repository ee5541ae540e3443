"""`marquee pull`."""

from pathlib import Path
from typing import Annotated

import typer

from flows.cli.output import print_values


def pull(
    spec: Annotated[str, typer.Argument(help="policy@latest, policy@champion, dataset@<digest>, report@latest …")],
    source: Annotated[str, typer.Option("--from", help="s3://bucket/prefix, or a folder.")],
    to: Annotated[Path, typer.Option(help="The folder in which <kind>/<digest>/ is made.")] = Path("pulled"),
) -> None:
    """Download a published artifact and verify the hash of every file; run again to resume."""
    from storage.artifacts.object_stores import open_store
    from storage.artifacts.publishing import pull as pull_artifact

    ref = pull_artifact(open_store(source), spec, to)
    typer.echo(f"{ref.kind}/{ref.digest}: {ref.size_bytes:,} bytes, verified")
    print_values(PULLED=to.absolute() / ref.kind / ref.digest)
