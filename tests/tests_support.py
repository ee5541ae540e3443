"""What several test files share that is no fixture."""

import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
SMALL = {
    "source.sample": "{users: 60, movies: 120, events_per_user_mean: 25}",
    "features.dim": "16",
    "features.text.max_tokens": "16",
    "cluster.workers": "1",
    "train.trainer": "{steps: 60, batch_size: 32, validate_every: 20, checkpoint_every: 20, log_every: 20}",
    "train.sequence_trainer": "{steps: 6, validate_every: 3, checkpoint_every: 3, log_every: 3}",
    "train.ranking": "{sequences: 4, policy: {width: 16, length: 12}, kernel: {min_count: 1}}",
    "train.td3": "{hidden_dim: 16}",
    "train.td3_bc": "{hidden_dim: 16}",
    "train.ddpg": "{hidden_dim: 16}",
    "train.validation_steps": "50",
    "evaluate.sample": "50",
    "evaluate.baselines.grids": "{markov: {decay: [1.0, 0.8], window: [5, 2]}}",
}

Marquee = Callable[..., subprocess.CompletedProcess[str]]


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def changes(**more: str) -> list[str]:
    """`--set` options of a run that takes seconds."""
    values = SMALL | {name.replace("__", "."): value for name, value in more.items()}
    return [part for name, value in values.items() for part in ("--set", f"{name}={value}")]


def wait_for(url: str, process: subprocess.Popen[bytes], seconds: float = 120) -> None:
    """Until a server answers, or fail with its exit."""
    for _ in range(int(seconds / 0.2)):
        assert process.poll() is None, f"{process.args} ended with {process.returncode}"
        try:
            with urllib.request.urlopen(url, timeout=2):  # noqa: S310
                return
        except OSError:
            time.sleep(0.2)
    raise TimeoutError(url)


def values_of(output: str) -> dict[str, str]:
    """The KEY=VALUE lines at the end of an output."""
    pairs = (line.partition("=") for line in output.splitlines() if line.split("=")[0].isupper())
    return {key: value for key, _, value in pairs}
