"""Runs commands of `marquee` in forks of a process that has imported everything: a command costs no imports."""

import gc
import json
import os
import pkgutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from types import TracebackType

REPOSITORY = Path(__file__).parents[1]
PACKAGES = ("flows", "tasks")


class ForkedCli:
    """The client of one forking process: a request a line on its standard input, an answer a line on its output."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self.env = dict(env) | {"PYTHONPATH": str(REPOSITORY)}
        self.process: subprocess.Popen[str] | None = None
        self.runs = 0

    def __enter__(self) -> "ForkedCli":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self.process is not None:
            with self.process as process:
                process.kill()
            self.process = None

    def run(self, arguments: Sequence[str], env: Mapping[str, str], folder: Path) -> subprocess.CompletedProcess[str]:
        """Run one command to its end; its streams go to files in `folder`."""
        if self.process is None:
            command = [sys.executable, __file__]
            pipe = subprocess.PIPE
            self.process = subprocess.Popen(
                command, env=self.env, cwd=REPOSITORY, stdin=pipe, stdout=pipe, text=True, bufsize=1
            )
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.runs += 1
        out, err = (folder / f"command-{self.runs}.{name}" for name in ("out", "err"))
        request = {"arguments": list(arguments), "env": self.env | dict(env), "out": str(out), "err": str(err)}
        try:
            self.process.stdin.write(json.dumps(request) + "\n")
            code = int(self.process.stdout.readline())
        except BaseException:  # for instance the test's timeout: the next command must not wait for this one
            self.__exit__(None, None, None)
            raise
        return subprocess.CompletedProcess(["marquee", *arguments], code, out.read_text(), err.read_text())


def import_everything() -> None:
    """Import what the commands import when they run."""
    for name in PACKAGES:
        for module in pkgutil.walk_packages(import_module(name).__path__, f"{name}."):
            if not module.name.endswith("__main__"):
                import_module(module.name)
    import transformers.models.bert.modeling_bert  # noqa: F401  # imported on first use otherwise


def become(arguments: list[str], env: dict[str, str], out: str, err: str) -> None:
    """Run one command as a new process would: with its own environment, arguments and streams."""
    os.environ.clear()
    os.environ.update(env)
    sys.argv = ["marquee", *arguments]
    for stream, path, mode in ((0, os.devnull, os.O_RDONLY), (1, out, os.O_WRONLY), (2, err, os.O_WRONLY)):
        file = os.open(path, mode | os.O_CREAT, 0o600)
        os.dup2(file, stream)
        os.close(file)
    from flows.cli import app

    app()


def serve() -> None:
    """Answer each request with the exit code of a fork that runs it, until standard input ends."""
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            become(**json.loads(line))  # ends by SystemExit, as the command line does
        _, status = os.waitpid(child, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    import_everything()
    gc.freeze()  # forks share these objects with their parent, and need not look at them when they collect
    serve()
