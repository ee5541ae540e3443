"""Real servers and real runs for tests; one of each for all pytest-xdist workers, on free ports."""

import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import numpy as np
import pytest
from forked_cli_support import ForkedCli
from tests_support import (
    REPOSITORY,
    Marquee,
    Shared,
    SmallRun,
    absent_tools,
    changes,
    find_chromium,
    free_port,
    required,
    values_of,
    wait_for,
)

SHARED = pytest.StashKey[Shared]()
KEEPER = pytest.StashKey[subprocess.Popen[bytes]]()
TOOLS = ("real_data", "radosgw", "chromium", "strace")  # fixtures that give a test what may be absent


def pytest_configure(config: pytest.Config) -> None:
    """Workers share the folder of the process that started them."""
    given = getattr(config, "workerinput", {}).get("shared")
    config.stash[SHARED] = Shared(Path(given or tempfile.mkdtemp(prefix="marquee-tests-")))
    if given is None:
        config.stash[KEEPER] = config.stash[SHARED].keep()


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: object) -> None:
    """Tell a pytest-xdist worker the shared folder."""
    node.workerinput["shared"] = str(node.config.stash[SHARED].folder)  # type: ignore[attr-defined]


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop the shared servers when all workers are done."""
    if KEEPER in config.stash:
        config.stash[KEEPER].communicate()  # ends its standard input


@pytest.hookimpl(wrapper=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> Iterator[None]:
    """Mark tests by the tools that they need; deselect those whose tool is absent, unless all tools are required."""
    for item in items:
        for name in TOOLS:
            if name in getattr(item, "fixturenames", ()):
                item.add_marker(name)
    absent = {} if os.environ.get("MARQUEE_REQUIRE_TOOLS") else absent_tools()
    dropped = [item for item in items if any(item.get_closest_marker(tool) for tool in absent)]
    if dropped:
        config.hook.pytest_deselected(items=dropped)
        items[:] = [item for item in items if item not in dropped]
    yield  # pytest deselects by -m
    if workers := getattr(config, "workerinput", {}).get("workercount"):
        items[:] = long_first(items, workers)


def long_first(items: list[pytest.Item], workers: int) -> list[pytest.Item]:
    """Order tests so that every pytest-xdist worker begins with files of long tests; short ones then fill the end evenly.

    A worker gets one of `workers` equal parts of the list, in its order, and steals from the end of another's part.
    """
    of_file = {path: list(tests) for path, tests in groupby(items, key=lambda item: item.path)}
    long = [tests for path, tests in of_file.items() if path.parent.name in ("integration", "crash")]
    short = [
        test for path, tests in of_file.items() if path.parent.name not in ("integration", "crash") for test in tests
    ]
    parts = []
    for worker in range(workers):
        begin = [test for tests in long[worker::workers] for test in tests]
        room = len(items) * (worker + 1) // workers - len(items) * worker // workers - len(begin)
        parts += [*begin, *short[: max(0, room)]]
        short = short[max(0, room) :]
    return parts + short


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say at which boundaries faults were tried, and which tests did not run because their tool is absent."""
    for report in terminalreporter.stats.get("passed", []):
        for name, value in report.user_properties:
            if name == "boundaries":
                terminalreporter.write_line(value)
    if not os.environ.get("MARQUEE_REQUIRE_TOOLS"):
        for tool, why in absent_tools().items():
            terminalreporter.write_line(f"NOT RUN: tests marked {tool}: {why}", yellow=True)


@pytest.fixture
def strace() -> None:
    """The program that injects faults into system calls."""
    required("strace")


def pytest_runtest_setup() -> None:
    """Start every test with the same global random numbers."""
    random.seed(0)
    np.random.seed(0)
    if "torch" in sys.modules:  # tests that do not import it need not wait for it
        sys.modules["torch"].manual_seed(0)


@pytest.fixture
def nobody() -> Iterator[str]:
    """The URL of a port that is taken, and where nothing answers."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


@pytest.fixture(scope="session")
def shared(request: pytest.FixtureRequest) -> Shared:
    return request.config.stash[SHARED]


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real releases and exports."""
    required("real_data")
    return Path(os.environ["MARQUEE_REAL_DATA"])


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of the browser."""
    required("chromium")
    return str(find_chromium())


@pytest.fixture(scope="session")
def prefect_env(shared: Shared) -> dict[str, str]:
    """The environment of processes that talk to a real Prefect server, started for this test run."""

    def start(home: Path) -> dict[str, str]:
        port = free_port()
        more = {
            "PREFECT_HOME": str(home),
            "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "DO_NOT_TRACK": "1",
            "PREFECT_WORKER_QUERY_SECONDS": "2",
            "PREFECT_SERVER_DATABASE_TIMEOUT": "60",  # of SQLite, which the tests of all processes share
            "PREFECT_CLIENT_MAX_RETRIES": "20",  # of requests that it answers by 503 while it is busy
            "HF_HUB_OFFLINE": "1",
        }
        command = [
            str(Path(sys.executable).with_name("prefect")), "server", "start", "--host", "127.0.0.1", "--port", str(port),
        ]  # fmt: skip
        server = shared.server(command, home / "server.log", os.environ | more)
        wait_for(f"http://127.0.0.1:{port}/api/health", server)
        return more

    env: dict[str, str] = os.environ | shared.once("prefect", start)
    env.pop("MARQUEE_HOME", None)
    return env


@pytest.fixture(scope="session")
def forked_cli(prefect_env: dict[str, str]) -> Iterator[ForkedCli]:
    with ForkedCli(prefect_env) as cli:
        yield cli


@pytest.fixture
def marquee(forked_cli: ForkedCli, tmp_path: Path) -> Marquee:
    """Run the command line against the shared server in a work directory of this test."""

    def call(
        *arguments: str, ok: bool = True, home: Path | None = None, **env: str
    ) -> subprocess.CompletedProcess[str]:
        done = forked_cli.run(arguments, {"MARQUEE_HOME": str(home or tmp_path / "home")} | env, tmp_path)
        assert (done.returncode == 0) == ok, done.stdout + done.stderr
        return done

    return call


@pytest.fixture(scope="session")
def small_run(shared: Shared, prefect_env: dict[str, str]) -> SmallRun:
    """A whole retraining of seconds on generated data, by a process of its own."""

    def retrain(home: Path) -> str:
        command = [sys.executable, "-m", "flows.cli", "retrain", *changes()]
        env = prefect_env | {"MARQUEE_HOME": str(home)}
        done = subprocess.run(
            command, env=env, cwd=REPOSITORY, capture_output=True, text=True, check=False, timeout=850
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + "\0" + done.stderr

    out, _, err = shared.once("small", retrain).partition("\0")
    return SmallRun(shared.folder / "small", values_of(out), out + err)


@pytest.fixture
def small_home(small_run: SmallRun, tmp_path: Path) -> Path:
    """A copy of the small run's work directory, which the test may change: the one that `marquee` uses by default."""
    unfinished = shutil.ignore_patterns(".*")  # another worker may be writing to the original
    return Path(shutil.copytree(small_run.home, tmp_path / "home", ignore=unfinished))
