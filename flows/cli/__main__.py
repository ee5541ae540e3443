"""`python -m flows.cli` is the command `marquee`."""

from flows.cli import app

app()
