"""`marquee app`."""

from pathlib import Path
from typing import Annotated

import typer

from flows.cli.options import (
    HostOption,
    ItemsOption,
    ServedBaselinesOption,
    ServedFromOption,
    ServedPoliciesOption,
    place_to_serve,
)


def app_command(
    source: ServedFromOption = None,
    policy: ServedPoliciesOption = None,
    baseline: ServedBaselinesOption = None,
    items: ItemsOption = None,
    posters: Annotated[
        Path | None, typer.Option(help="A folder of pictures named by item id, such as 318.jpg.")
    ] = None,
    host: HostOption = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="The port to listen on.")] = 8501,
) -> None:
    """Show a page on which to rate movies and compare what two methods recommend."""
    from serving.loading import CHAMPION
    from serving.page.run import PageSettings, run_page

    typer.echo(f"The page is at http://{host}:{port}. Ctrl-C ends it.")
    settings = PageSettings(
        where=place_to_serve(source),
        policies=tuple(policy or [CHAMPION]),
        baselines=tuple(baseline or []),
        items=items,
        posters=posters,
    )
    run_page(settings, host, port)
