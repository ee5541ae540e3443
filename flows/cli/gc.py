"""`marquee gc`."""

from itertools import groupby
from operator import attrgetter
from typing import Annotated

import typer

from flows.cli.options import ProfileOption, published_at

ROWS = 20  # of one kind in the table


def gc(
    delete: Annotated[bool, typer.Option("--delete", help="Remove what is found; otherwise it is only shown.")] = False,
    keep_days: Annotated[float, typer.Option(min=0, help="Keep what was used in this many days.")] = 30,
    source: Annotated[
        str | None,
        typer.Option(
            "--from",
            help="Where the artifacts of this work directory are published: s3://bucket/prefix or a folder. What an alias "
            "there names is kept. Default: the profile's.",
        ),
    ] = None,
    profile: ProfileOption = "sample",
) -> None:
    """Show what the work directory no longer needs, and remove it with --delete."""
    from rich.box import SIMPLE
    from rich.filesize import decimal
    from rich.table import Table

    from flows.cli.output import print_table
    from storage.artifacts.collection import collect, total
    from storage.artifacts.object_stores import open_store
    from storage.home import home

    found = collect(home(), open_store(published_at(source, profile)), keep_days, delete)
    if found:
        table = Table("what", "where", "size", "days unused", "why", box=SIMPLE)
        for what, group in groupby(found, key=attrgetter("what")):
            several = list(group)
            for one in several[:ROWS]:
                where = str(one.path.relative_to(home()))
                table.add_row(one.what, where, decimal(one.size_bytes), f"{one.days:.0f}", one.why)
            if rest := several[ROWS:]:
                table.add_row(what, f"and {len(rest)} more", decimal(total(rest)))
        print_table(table)
    typer.echo(f"{'Removed' if delete else 'Not needed'}: {len(found)}, {decimal(total(found))}.")
    if found and not delete:
        typer.echo("Nothing was removed. To remove it: the same command with --delete")
