"""Prefect's temporary server, as a process that ends when the command that uses it has ended, in whatever way.

Prefect stops its temporary server when Python exits. A command that is killed does not get there, and its server would
stay for ever. Here the server reads from a pipe that the command holds open: the system closes it when the command ends.
"""

import os
import subprocess
import sys
import threading
from typing import Any

from prefect.server.api.server import SubprocessASGIServer
from prefect.settings import get_current_settings


class TemporaryServer(SubprocessASGIServer):
    """The server that Prefect starts where the user has named none; one that the user has named is never touched.

    Prefect keeps one server for a process and starts it on first use. To make an object of this class, once before a flow
    runs, is enough to put it in that place.
    """

    def _run_uvicorn_command(self) -> subprocess.Popen[Any]:
        settings = get_current_settings().to_environment_variables(exclude_unset=True)
        ours = {"PREFECT_UI_ENABLED": "0", "PREFECT__SERVER_EPHEMERAL": "1", "PREFECT__SERVER_FINAL": "1"}
        command = [sys.executable, "-m", __name__, str(self.port)]
        return subprocess.Popen(command, stdin=subprocess.PIPE, env={**os.environ, **ours, **settings})  # noqa: S603


def serve(port: int) -> None:
    """In the process: run Prefect's server until it is terminated, or until the pipe at standard input is closed."""
    import uvicorn

    threading.Thread(target=_end_with_the_command, daemon=True).start()
    uvicorn.run(
        "prefect.server.api.server:create_app",
        factory=True,
        host="127.0.0.1",
        port=port,
        log_level="error",
        lifespan="on",
    )


def _end_with_the_command() -> None:
    sys.stdin.buffer.read()
    os._exit(0)


if __name__ == "__main__":
    serve(int(sys.argv[1]))
