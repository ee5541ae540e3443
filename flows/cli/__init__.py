"""The command line `marquee`: one file per command, and one line for each below.

A command runs the same flow, with the same parameters, as the deployment of that name, on Prefect's temporary server.
Commands import what they run inside their functions, so that `--help`, `pull` and `rollback --from` do not wait for PyTorch and Prefect.
"""

import os
from typing import Any

# Prefect reads these when it is imported; a user's own settings win.
for name, value in {
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_LOGGING_EXTRA_LOGGERS": "marquee",
    "DO_NOT_TRACK": "1",
}.items():
    os.environ.setdefault(name, value)

import typer
from typer.core import TyperGroup

from flows.cli.app import app_command
from flows.cli.build_dataset import build_dataset
from flows.cli.compare import compare
from flows.cli.doctor import doctor
from flows.cli.embed_items import embed_items
from flows.cli.encode_states import encode_states
from flows.cli.evaluate_policy import evaluate_policy
from flows.cli.export import export
from flows.cli.export_onnx import export_onnx
from flows.cli.extend_dataset import extend_dataset
from flows.cli.fsck import fsck
from flows.cli.gc import gc
from flows.cli.model_card import model_card
from flows.cli.publish import publish
from flows.cli.pull import pull
from flows.cli.recommend import recommend
from flows.cli.retrain import retrain
from flows.cli.rollback import rollback
from flows.cli.serve import serve
from flows.cli.train_online import train_online
from flows.cli.train_policy import train_policy
from models.errors import EncoderError, LearnerError
from storage.errors import MarqueeError


class Commands(TyperGroup):
    """The commands; an error that users are meant to read is printed without a traceback, and the exit code is 1."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command that the user named."""
        try:
            return super().invoke(ctx)
        except (MarqueeError, LearnerError, EncoderError) as error:
            typer.secho(f"\n{type(error).__name__}: {error}", fg="red", err=True)
            raise typer.Exit(1) from None


app = typer.Typer(
    cls=Commands,
    name="marquee",
    help="Turn movie ratings into trained, evaluated and published recommendation policies.\n\n"
    "Commands run Prefect flows. A step whose input, parameters and code have not changed is not run again. "
    "Results are kept in the folder MARQUEE_HOME (default: .marquee/).",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,
)
app.command("build-dataset")(build_dataset)
app.command("extend-dataset")(extend_dataset)
app.command("embed-items")(embed_items)
app.command("export")(export)
app.command("export-onnx")(export_onnx)
app.command("train-policy")(train_policy)
app.command("encode-states")(encode_states)
app.command("train-online")(train_online)
app.command("evaluate-policy")(evaluate_policy)
app.command("compare")(compare)
app.command("publish")(publish)
app.command("pull")(pull)
app.command("retrain")(retrain)
app.command("recommend")(recommend)
app.command("serve")(serve)
app.command("app")(app_command)
app.command("model-card")(model_card)
app.command("fsck")(fsck)
app.command("gc")(gc)
app.command("rollback")(rollback)
app.command("doctor")(doctor)
