"""`marquee model-card`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.cli.options import place_to_serve
from flows.cli.output import print_values

if TYPE_CHECKING:
    from storage.artifacts.manifest import Manifest


def model_card(
    policy: Annotated[str, typer.Argument(help="policy@<alias or digest>.")] = "policy@champion",
    source: Annotated[
        str | None,
        typer.Option(
            "--from",
            help="Where it is published: s3://bucket/prefix or a folder; default: published/ in the work directory.",
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="The file to write; default: the terminal.")] = None,
) -> None:
    """Write the card of a published policy: data, licence, metrics with intervals, limits, and how to load it."""
    from evaluation.report.model_card import model_card_markdown
    from storage.artifacts.object_stores import open_store
    from storage.artifacts.publishing import resolve
    from storage.errors import ArtifactError, UnknownAliasError
    from storage.files import write_bytes_atomically

    store = open_store(place_to_serve(source))
    manifest = resolve(store, policy)
    if manifest.recipe.kind != "policy":
        raise ArtifactError(
            f"{policy}: expected policy@<alias or digest>; found {manifest.recipe.kind!r}. Name a policy."
        )

    def published(spec: str) -> "Manifest | None":
        try:
            return resolve(store, spec)
        except UnknownAliasError:
            return None

    dataset = published(f"dataset@{manifest.recipe.inputs.get('dataset', 'none')}")
    text = model_card_markdown(manifest, dataset, published("report@latest"), store.uri)
    if out is None:
        typer.echo(text)
        return
    write_bytes_atomically(out, text.encode())
    print_values(CARD=out.absolute())
