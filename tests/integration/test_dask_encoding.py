"""Encoding on real Dask clusters."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from tests_support import free_port

from models.encoders.text import TextEncoder
from tasks.dask_cluster import DaskUnreachableError, dask_client
from tasks.encode_texts import encode_texts

TEXTS = [f"a film about {word} number {n}" for n in range(15) for word in ("war", "love", "robots", "")] + [
    "",
    "same",
    "same",
]


@pytest.fixture(scope="module")
def alone() -> np.ndarray:
    return TextEncoder.load("minilm", 32).encode(TEXTS)


@pytest.fixture
def scheduler(tmp_path: Path) -> Iterator[str]:
    port = free_port()
    address = f"tcp://127.0.0.1:{port}"
    dask = [
        sys.executable,
        "-m",
        "distributed.cli.dask_scheduler",
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "--no-dashboard",
    ]
    worker = [
        sys.executable,
        "-m",
        "distributed.cli.dask_worker",
        address,
        "--nworkers",
        "1",
        "--nthreads",
        "1",
        "--no-dashboard",
    ]
    env = os.environ | {"PYTHONWARNINGS": "ignore"}
    processes = [
        subprocess.Popen(command, env=env, cwd=Path.cwd(), stderr=subprocess.DEVNULL) for command in (dask, worker)
    ]
    yield address
    for process in reversed(processes):
        process.terminate()
        process.wait(20)


def test_local_cluster_equals_one_process(alone: np.ndarray) -> None:
    seen: list[tuple[int, int]] = []
    with dask_client(None, 2) as client:
        vectors = encode_texts(TEXTS, "minilm", 32, client, partition_rows=16, progress=lambda *step: seen.append(step))
    np.testing.assert_allclose(vectors, alone, atol=2e-5)
    assert not vectors[TEXTS.index("")].any()
    assert np.array_equal(vectors[-1], vectors[-2])
    assert seen[-1][0] == seen[-1][1] == len(set(TEXTS))


def test_existing_scheduler_by_address(scheduler: str, alone: np.ndarray) -> None:
    with dask_client(scheduler, 9) as client:
        client.wait_for_workers(1, timeout=60)
        vectors = encode_texts(TEXTS, "minilm", 32, client, partition_rows=32)
    np.testing.assert_allclose(vectors, alone, atol=2e-5)


def test_death_of_a_worker_changes_nothing(alone: np.ndarray) -> None:
    with dask_client(None, 2) as client:
        killed: list[str] = []

        def kill_one(done: int, total: int) -> None:
            if not killed:
                killed.append(next(iter(client.scheduler_info()["workers"])))
                client.run(os._exit, 1, workers=killed, wait=False, on_error="ignore")

        vectors = encode_texts(TEXTS, "minilm", 32, client, partition_rows=8, progress=kill_one)
    assert killed
    np.testing.assert_allclose(vectors, alone, atol=2e-5)


def test_no_scheduler_is_a_typed_error() -> None:
    address = f"tcp://127.0.0.1:{free_port()}"
    with pytest.raises(DaskUnreachableError, match="local cluster"), dask_client(address, 1):
        pass
