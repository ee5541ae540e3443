"""`marquee fsck`."""

from typing import Annotated

import typer


def fsck(
    source: Annotated[
        str | None,
        typer.Option(
            "--from", help="Where artifacts are published: s3://bucket/prefix or a folder; default: the work directory."
        ),
    ] = None,
    repair: Annotated[
        bool,
        typer.Option(
            help="Move damaged artifacts to damaged/ so that they are made again, publish damaged ones again, and remove "
            "what killed commands left."
        ),
    ] = False,
) -> None:
    """Verify every byte in the work directory or where artifacts are published; the exit code is 1 if there is damage."""
    from rich.box import SIMPLE
    from rich.table import Table
    from rich.text import Text

    from flows.cli.output import print_table
    from storage.artifacts.inspection import ARTIFACTS, inspect_home, inspect_published
    from storage.artifacts.object_stores import open_store
    from storage.artifacts.store import ArtifactStore
    from storage.home import home

    if source is None:
        found = inspect_home(home(), repair)
    else:
        found = inspect_published(open_store(source), ArtifactStore(home() / ARTIFACTS), repair=repair)
    if found.findings:
        table = Table("what", "where; what was found; what was done", box=SIMPLE)
        for one in found.findings:
            table.add_row(one.what, Text("\n".join(filter(None, (one.where, one.detail, one.repair))), overflow="fold"))
        print_table(table)
    whole = ", ".join(f"{count} {kind}" for kind, count in sorted(found.whole.items()))
    typer.echo(f"Whole: {whole or 'nothing'}.")
    typer.echo(f"Damaged: {len(found.damaged)}{' after the repair' if repair else ''}.")
    if found.damaged:
        if not repair:
            typer.echo("To repair what can be repaired: the same command with --repair")
        raise typer.Exit(1)
