"""`marquee serve`."""

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


def serve(
    source: ServedFromOption = None,
    policy: ServedPoliciesOption = None,
    baseline: ServedBaselinesOption = None,
    items: ItemsOption = None,
    host: HostOption = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port to listen on.")] = 8000,
    refresh_seconds: Annotated[
        float, typer.Option(min=0.1, help="Seconds between two looks whether an alias has moved.")
    ] = 30.0,
    most_waiting: Annotated[
        int, typer.Option(min=1, help="Questions that may wait; further ones are refused with 503.")
    ] = 256,
) -> None:
    """Answer requests for recommendations over HTTP; the policy follows its alias without an interruption."""
    import logging

    from serving.loading import CHAMPION
    from serving.server import serve as run

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    typer.echo(f"http://{host}:{port}/policies says what is served, /openapi.json how to ask. Ctrl-C ends the server.")
    run(place_to_serve(source), policy or [CHAMPION], baseline or [], host, port, refresh_seconds, most_waiting, items)
