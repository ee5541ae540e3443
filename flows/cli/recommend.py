"""`marquee recommend`."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.cli.options import ItemsOption, ServedFromOption, place_to_serve

if TYPE_CHECKING:
    from serving.asking import Answer
    from serving.catalogue import Catalogue


def recommend(
    ratings: Annotated[
        Path | None,
        typer.Option(help="A CSV file with the columns movieId or title, rating, and perhaps timestamp."),
    ] = None,
    rate: Annotated[
        list[str] | None,
        typer.Option(help="One rating, e.g. --rate 'Heat (1995)=4.5'; may be repeated.", metavar="TITLE=RATING"),
    ] = None,
    k: Annotated[int, typer.Option("-k", min=1, max=1000, help="The number of items.")] = 20,
    policy: Annotated[str, typer.Option(help="policy@<alias or digest>.")] = "policy@champion",
    source: ServedFromOption = None,
    items: ItemsOption = None,
    method: Annotated[str | None, typer.Option(help="A baseline by name, instead of the policy.")] = None,
    distance: Annotated[
        str | None, typer.Option(help="Rank by this distance to the policy's action, e.g. cosine.")
    ] = None,
    critic_weight: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=100,
            help="How much the critics' value counts against the score; 0: not at all. Default: as tuned.",
        ),
    ] = None,
    serve_for: Annotated[
        str,
        typer.Option(help="What the list is for: next, later, liked or new; ranking policies have weights for each."),
    ] = "next",
    genre: Annotated[list[str] | None, typer.Option(help="Only items of this genre; may be repeated.")] = None,
    year_from: Annotated[int | None, typer.Option(help="Only items of this year or later.")] = None,
    year_to: Annotated[int | None, typer.Option(help="Only items of this year or earlier.")] = None,
    diversity: Annotated[float, typer.Option(min=0, max=1, help="0: by score alone; 1: as different as can be.")] = 0.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON array of objects instead of a table.")] = False,
) -> None:
    """Recommend items to a person from their ratings; without ratings the most popular items."""
    from pydantic import ValidationError

    from evaluation.protocols.distances import Distance
    from flows.cli.output import one_of
    from models.serve_for import ServeFor
    from serving.asking import Question
    from serving.errors import RequestError, invalid_values
    from serving.loading import load
    from serving.ratings_file import known_history, parse_rating, read_ratings_file

    written = read_ratings_file(ratings) if ratings is not None else []
    written += [parse_rating(one) for one in rate or ()]
    recommender = load(place_to_serve(source), policy, [method] if method else [], items)
    asks = sys.stdin.isatty() and not as_json

    def ask(title: str, proposals: Sequence[int]) -> int | None:
        return chosen(recommender.catalogue, title, proposals) if asks else None

    history = known_history(written, recommender.catalogue, ask)
    if history.not_found:
        typer.secho(
            f"Left out, because no item or several have this title: {', '.join(map(repr, history.not_found))}.",
            fg="yellow",
            err=True,
        )
    try:
        question = Question(
            history=tuple(history.rated),
            k=k,
            method=method,
            serve_for=one_of(ServeFor, "--serve-for", serve_for),
            distance=None if distance is None else one_of(Distance, "--distance", distance),
            critic_weight=critic_weight,
            genres=tuple(genre or ()),
            year_from=year_from,
            year_to=year_to,
            diversity=diversity,
        )
    except ValidationError as error:
        raise RequestError(f"expected valid options; found {invalid_values(error.errors())}.") from None
    answer = recommender.recommend(question)
    if as_json:
        typer.echo(json.dumps(answer.model_dump(mode="json")["items"], indent=2, ensure_ascii=False))
    else:
        show(answer)


def chosen(catalogue: "Catalogue", title: str, proposals: Sequence[int]) -> int | None:
    """Ask which item a title means; None: none of them."""
    typer.echo(f"{title!r} may be:")
    for number, item in enumerate(proposals, 1):
        typer.echo(f"  {number}  {catalogue.with_year(item)}")
    answer = typer.prompt("Which one? 0: none of them", type=int, default=1)
    return proposals[answer - 1] if 1 <= answer <= len(proposals) else None


def show(answer: "Answer") -> None:
    """Print recommended items as a table."""
    from rich.box import SIMPLE
    from rich.table import Table
    from rich.text import Text

    from flows.cli.output import print_table

    table = Table("", "title", "year", "score", "why", box=SIMPLE)
    for place, item in enumerate(answer.items, 1):
        why = ", ".join(f"{one.title} ({one.rating:g})" for one in item.because)
        table.add_row(str(place), Text(item.title), str(item.year or ""), f"{item.score:.3f}", Text(why))
    if answer.note:
        typer.echo(answer.note)
    print_table(table)
    typer.echo(f"Ranked by {answer.method}{f' ({answer.digest})' if answer.digest else ''}.")
