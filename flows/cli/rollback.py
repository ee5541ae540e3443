"""`marquee rollback`."""

from typing import Annotated

import typer

from flows.cli.options import ProfileOption, PublishedOption, published_at
from flows.cli.output import print_values


def rollback(
    spec: Annotated[str, typer.Argument(help="The alias to move back, e.g. policy@champion.")],
    source: PublishedOption = None,
    to: Annotated[
        str | None,
        typer.Option(
            help="The digest of an earlier artifact, or its first digits; default: the newest that was not rolled back."
        ),
    ] = None,
    profile: ProfileOption = "sample",
) -> None:
    """Move an alias of a published artifact back to the artifact that it named before."""
    from storage.artifacts.aliases import roll_back
    from storage.artifacts.object_stores import open_store

    kind, at, name = spec.partition("@")
    if not (kind and at and name):
        raise typer.BadParameter(
            f"{spec}: expected <kind>@<alias>, e.g. policy@champion; found another form. Name an alias."
        )
    before, after = roll_back(open_store(published_at(source, profile)), kind, name, to)
    typer.echo(f"{spec} named {before.digest} since {before.moved_at}; now it names {after.digest} again.")
    print_values(ROLLED_BACK_FROM=before.digest, ROLLED_BACK_TO=after.digest)
