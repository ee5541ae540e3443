"""What commands print for scripts, and checks of options whose choices are defined in modules that are slow to import."""

import logging
from typing import TYPE_CHECKING, Any, get_args

import typer

if TYPE_CHECKING:  # rich is imported by the commands that print tables
    from rich.table import Table


def print_values(**values: object) -> None:
    """Print KEY=VALUE lines, for scripts; they are the last lines of a command's output."""
    logging.getLogger("prefect").setLevel(logging.WARNING)
    for key, value in values.items():
        typer.echo(f"{key}={value}")


def print_table(table: "Table") -> None:
    """Print a table; where there is no terminal its lines are long enough for paths."""
    from rich.console import Console

    console = Console()
    if not console.is_terminal:
        console.width = 240
    console.print(table)


def one_of(choices: Any, option: str, value: str) -> Any:
    """Return an option's value if the `Literal` that lists its choices has it.

    Raises:
        typer.BadParameter: the value is none of the choices.
    """
    if value not in get_args(choices):
        raise typer.BadParameter(
            f"{option}: expected one of {', '.join(get_args(choices))}; found {value}. Choose one of these."
        )
    return value
