"""`marquee doctor`."""

import json
from typing import Annotated

import typer

from flows.cli.options import ProfileOption, SetOption

COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}


def doctor(
    profile: ProfileOption = "sample",
    source: Annotated[
        str | None, typer.Option("--from", help="A place to read: s3://bucket/prefix or a folder.")
    ] = None,
    to: Annotated[
        str | None,
        typer.Option(
            help="A place to publish to: s3://bucket/prefix or a folder; default: the profile's, if it has one."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON list instead of a table.")] = False,
    changes: SetOption = None,
) -> None:
    """Check packages, hardware, work directory, encoder, servers and object stores; the exit code is 1 if a check fails."""
    from flows.cli.running import resolved_profile
    from tasks.doctor import examine

    chosen = resolved_profile(profile, changes=changes)
    found = dict(examine(chosen.features.text.encoder, chosen.cluster.scheduler, source, to or chosen.publish.to))
    if as_json:
        rows = [{"check": name} | finding._asdict() for name, finding in found.items()]
        typer.echo(json.dumps(rows, indent=2, ensure_ascii=False))
    else:
        from rich.console import Console
        from rich.markup import escape
        from rich.table import Table

        table = Table("check", "", "found", "next step")
        for name, finding in found.items():
            status = f"[{COLOURS[finding.status]}]{finding.status}[/]"
            table.add_row(name, status, escape(finding.found), escape(finding.next_step))
        Console().print(table)
    if any(finding.status == "fail" for finding in found.values()):
        raise typer.Exit(1)
