"""`marquee embed-items`."""

from pathlib import Path
from typing import Annotated

import typer

from flows.cli.output import print_values


def embed_items(
    movies: Annotated[
        Path, typer.Argument(help="CSV, JSON lines or Parquet: movie_id, title, year, genres, overview, cast …")
    ],
    dataset: Annotated[
        str, typer.Option(help="The digest of a dataset, its first digits, or latest; or the folder of a pulled one.")
    ] = "latest",
    out: Annotated[Path, typer.Option(help="The file to write.")] = Path("new_items.parquet"),
) -> None:
    """Embed movies that a dataset does not have, so that recommendations can name them without a new training."""
    from storage.artifacts.store import ArtifactStore
    from storage.home import home, use_home
    from tasks.embed_items import dataset_folder
    from tasks.embed_items import embed_items as write

    use_home()
    facts = write(movies, dataset_folder(dataset, ArtifactStore(home() / "artifacts")), out)
    typer.echo("{movies} movies, {with_text} of them with a text, {with_metadata} with metadata.".format(**facts))
    print_values(ITEMS=out.absolute())
