"""Processes that train one learner together in a real flow run: its policy, its progress, and one of them that is killed."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pyarrow.parquet as pq
import pytest
import torch
from integration.prefect_support import post
from integration.training_support import SHORT, params
from prefect import flow
from prefect.runtime import flow_run
from safetensors.torch import load_file
from small_artifacts_support import made_dataset

from storage.artifacts.store import ArtifactRef
from tasks.caching import artifact_store
from tasks.ranks import RankEndedError
from tasks.train_learners import train_learners


def ranks_of_this_process() -> list[psutil.Process]:
    """The processes of the ranks that a launcher of this process has started, in their order."""
    found = [
        rank
        for launcher in psutil.Process().children()
        for rank in launcher.children()
        if any("spawn_main" in part for part in rank.cmdline())
    ]
    return sorted(found, key=psutil.Process.create_time)


@pytest.mark.nightly
def test_two_ranks_make_the_policy_of_one_process_and_show_their_progress(
    prefect_here: None, prefect_env: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs: list[str] = []

    @flow
    def train(ranks: int) -> dict[str, ArtifactRef]:
        runs.append(str(flow_run.id))
        return train_learners(made_dataset(), params(ranks=ranks, learners=("ranking",)), "cpu")

    digests, weights, metrics, shown = [], [], [], []
    for ranks in (1, 2):
        monkeypatch.setenv("MARQUEE_HOME", str(tmp_path / str(ranks)))
        policies = train(ranks)
        digests.append([ref.digest for ref in policies.values()])
        folders = [artifact_store().open(ref) for ref in policies.values()]
        weights.append([load_file(folder / "policy.safetensors") for folder in folders])
        metrics.append([pq.read_table(folder / "metrics.parquet").to_pandas() for folder in folders])
        wanted: dict[str, Any] = {"artifacts": {"flow_run_id": {"any_": [runs[-1]]}}, "limit": 200}
        artifacts = post(prefect_env, "artifacts/filter", wanted)
        shown.append({one["key"]: one["data"] for one in artifacts if one["type"] == "progress"})
        assert not list((tmp_path / str(ranks) / "checkpoints").glob("*"))
    assert digests[0] == digests[1]
    assert shown[0] == shown[1] == {"train-ranking": 100.0}
    for one, two in zip(*weights, strict=True):
        for name, expected in one.items():
            torch.testing.assert_close(two[name], expected, rtol=1e-4, atol=1e-5)
    for one, two in zip(*metrics, strict=True):
        assert one["metric"].tolist() == two["metric"].tolist()
        assert two["value"].to_numpy() == pytest.approx(one["value"].to_numpy(), rel=1e-3, abs=1e-4)


@pytest.mark.nightly
def test_a_killed_rank_is_named_and_one_process_continues(
    prefect_here: None, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    long = SHORT.model_copy(update={"steps": 1000, "validate_every": 500, "log_every": 500, "checkpoint_every": 50})

    @flow
    def train(ranks: int) -> dict[str, ArtifactRef]:
        return train_learners(made_dataset(), params(ranks=ranks, learners=("td3",), trainer=long), "cpu")

    over = threading.Event()

    def kill_second() -> int:
        while not list((tmp_path / "checkpoints").glob("*/*.pt")) and not over.is_set():
            time.sleep(0.05)
        first, second = ranks_of_this_process()
        second.kill()
        return first.pid

    with ThreadPoolExecutor(1) as threads:
        killed = threads.submit(kill_second)
        try:
            with pytest.raises(
                RankEndedError, match=r"rank 1 of 2: .* code -9.* last checkpoint is .*step-\d+\.pt; run again"
            ):
                train(2)
        finally:
            over.set()
    assert not psutil.pid_exists(killed.result())
    assert list(artifact_store().manifests("policy")) == []
    caplog.clear()
    assert artifact_store().open(train(1)["td3"])
    assert any("td3: resumed at update" in line for line in caplog.messages)
