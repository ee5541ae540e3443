"""Encoding on real Dask clusters, through shared folders and buckets, past deaths and in parts."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from dask_support import running_scheduler
from small_artifacts_support import making
from tests_support import REPOSITORY, free_port

from models.encoders.text_encoders.minilm import load_minilm
from storage.artifacts.exchange import Exchange, ExchangeError
from storage.artifacts.store import ArtifactRef
from storage.errors import ArtifactError
from tasks.caching import artifact_store
from tasks.dask_cluster import (
    ClusterParams,
    DaskUnreachableError,
    OtherWorkerError,
    dask_client,
    in_this_process,
    on_dask,
    workers,
)
from tasks.encode_texts import EncoderSpec, encode_texts
from tasks.texts import TextParams, make_texts

TEXTS = [f"a film about {word} number {n}" for n in range(15) for word in ("war", "love", "robots", "")] + [
    "",
    "same",
    "same",
]


SPEC = EncoderSpec("minilm", 32)


@pytest.fixture(autouse=True)
def work_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MARQUEE_HOME", str(tmp_path / "home"))


@pytest.fixture(scope="module")
def alone() -> Iterator[np.ndarray]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield load_minilm(32).encode(TEXTS)
    torch.set_num_threads(threads)


@pytest.fixture
def exchange(tmp_path: Path) -> Exchange:
    return Exchange(f"file://{tmp_path}/exchange/job")


@pytest.fixture(scope="module")
def scheduler() -> Iterator[str]:
    with running_scheduler() as address:
        yield address


@pytest.mark.parametrize("scheduler", [None, "local"])
def test_threads_and_local_workers_equal_one_thread_to_the_bit(
    scheduler: str | None, alone: np.ndarray, exchange: Exchange
) -> None:
    seen: list[tuple[int, int]] = []
    with workers(ClusterParams(scheduler=scheduler), 2) as submit:
        result = encode_texts(TEXTS, SPEC, submit, exchange, 16, progress=lambda *step: seen.append(step))
    assert np.array_equal(result.vectors, alone)
    assert not result.vectors[TEXTS.index("")].any()
    assert seen[-1][0] == seen[-1][1] == result.encoded == len(set(TEXTS))


def test_existing_scheduler_by_address(scheduler: str, alone: np.ndarray, exchange: Exchange) -> None:
    with dask_client(scheduler) as client:
        client.wait_for_workers(1, timeout=600)
        result = encode_texts(TEXTS, SPEC, on_dask(client), exchange, partition_rows=32)
        again = encode_texts(TEXTS, SPEC, on_dask(client), exchange, partition_rows=32)
    assert np.array_equal(result.vectors, alone)
    assert np.array_equal(again.vectors, alone)
    assert (again.encoded, again.resumed) == (0, len(set(TEXTS)))


def test_through_a_bucket(s3: tuple[object, str], alone: np.ndarray) -> None:
    exchange = Exchange(s3[1])
    with dask_client("local") as client:
        encode_texts(TEXTS[:20], SPEC, on_dask(client), exchange, partition_rows=8)
        result = encode_texts(TEXTS[:20], SPEC, on_dask(client), exchange, partition_rows=8)
    assert np.array_equal(result.vectors, alone[:20])
    assert (result.encoded, result.resumed) == (0, 20)
    exchange.remove()
    assert exchange.files.find(exchange.folder) == []
    exchange.remove()


@pytest.mark.nightly
def test_death_of_a_worker_changes_nothing(alone: np.ndarray, exchange: Exchange) -> None:
    with dask_client("local") as client:
        killed: list[str] = []

        def kill_one(done: int, total: int) -> None:
            if not killed:
                killed.append(next(iter(client.scheduler_info()["workers"])))
                client.run(os._exit, 1, workers=killed, wait=False, on_error="ignore")

        result = encode_texts(TEXTS, SPEC, on_dask(client), exchange, partition_rows=8, progress=kill_one)
    assert killed
    assert np.array_equal(result.vectors, alone)


ENCODE = """
import sys, json
from storage.artifacts.exchange import Exchange
from tasks.dask_cluster import dask_client, on_dask
from tasks.encode_texts import EncoderSpec, encode_texts
if __name__ == "__main__":
    with dask_client("local") as client:
        encode_texts(json.loads(sys.argv[1]), EncoderSpec("minilm", 32), on_dask(client), Exchange(sys.argv[2]), partition_rows=4)
"""


@pytest.mark.nightly
def test_death_of_the_whole_process_costs_only_what_was_not_done(
    alone: np.ndarray, exchange: Exchange, tmp_path: Path
) -> None:
    script = tmp_path / "encode.py"
    script.write_text(ENCODE)
    process = subprocess.Popen(
        [sys.executable, str(script), json.dumps(TEXTS), exchange.url],
        env=os.environ | {"PYTHONPATH": str(REPOSITORY)}, start_new_session=True, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    folder = Path(exchange.folder)
    while process.poll() is None and len(list(folder.glob("*.npy"))) < 3:
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGKILL)  # its Dask workers too
    assert process.wait() == -signal.SIGKILL
    scratch = tmp_path / "home" / "scratch"
    assert len(list(scratch.iterdir())) == 1, "the killed process cannot remove its workers' folder"
    done = {path: path.stat().st_mtime_ns for path in folder.glob("*.npy")}
    assert 3 <= len(done) < 16
    torn = min(done)
    torn.write_bytes(torn.read_bytes()[:-100])
    del done[torn]
    with dask_client("local") as client:
        assert len(list(scratch.iterdir())) == 1, "the next cluster has its own folder only"
        result = encode_texts(TEXTS, SPEC, on_dask(client), exchange, partition_rows=4)
    assert not list(scratch.iterdir())
    assert np.array_equal(result.vectors, alone)
    assert 4 * len(done) - 3 <= result.resumed <= 4 * len(done)
    assert result.encoded == len(set(TEXTS)) - result.resumed
    assert {path: path.stat().st_mtime_ns for path in done} == done


def test_partitions_of_another_encoder_are_not_taken(exchange: Exchange) -> None:
    with in_this_process(1) as submit:
        encode_texts(TEXTS[:4], SPEC, submit, exchange)
        others = [
            encode_texts(TEXTS[:4], spec, submit, exchange).encoded
            for spec in (replace(SPEC, max_tokens=16), replace(SPEC, identity="other"), SPEC)
        ]
    assert others == [4, 4, 0]


def test_a_folder_that_workers_do_not_share_is_a_typed_error(scheduler: str, tmp_path: Path) -> None:
    class Elsewhere(Exchange):
        """Writes beside the place that workers are told of."""

        def write(self, name: str, blob: bytes) -> None:
            Exchange(f"{self.url}-mine").write(name, blob)

    with dask_client(scheduler) as client, pytest.raises(ExchangeError, match="client and all workers share"):
        client.wait_for_workers(1, timeout=600)
        encode_texts(TEXTS[:4], SPEC, on_dask(client), Elsewhere(f"file://{tmp_path}/theirs"))


def movies_of(texts: list[str], name: str) -> ArtifactRef:
    """A movies artifact with these overviews."""
    table = pa.table(
        {
            "movie_id": range(len(texts)),
            "title": ["T"] * len(texts),
            "year": pa.nulls(len(texts), pa.int16()),
            "genres": [["Drama"]] * len(texts),
            "tagline": pa.nulls(len(texts), pa.string()),
            "overview": texts,
        }
    )
    with making("movies", {"name": name}) as draft:
        pq.write_table(table, draft.path / "movies.parquet")
    return draft.committed


@pytest.mark.nightly  # `make test` keeps texts in test_later_ratings_are_appended_without_encoding_old_items_again
def test_texts_of_an_earlier_artifact_are_kept_and_bytes_are_those_of_a_full_run(
    prefect_here: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    params, cluster = TextParams(max_tokens=32), ClusterParams(exchange=f"file://{tmp_path}/exchange")
    grown = ["new one", *TEXTS[:20], "new two"]
    monkeypatch.setenv("MARQUEE_HOME", str(tmp_path / "grown"))
    base = make_texts(movies_of(TEXTS[:20], "small"), params, cluster)
    kept = make_texts(movies_of(grown, "grown"), params, cluster, base)
    facts = artifact_store().manifest(kept).facts
    assert (facts["kept"], facts["kept_from"]) == (20, base.digest)
    assert artifact_store().manifest(kept).recipe.parameters["params"]["precision"] != "auto"
    old, new = (np.load(artifact_store().open(ref) / "texts.npy") for ref in (base, kept))
    assert np.array_equal(new[1:-1], old)
    with pytest.raises(ArtifactError, match="64 tokens"):
        make_texts(movies_of(grown, "grown"), TextParams(max_tokens=64), cluster, base)
    assert artifact_store().manifest(make_texts(movies_of(TEXTS[:1], "one"), params, cluster)).facts["kept"] == 1
    monkeypatch.setenv("MARQUEE_HOME", str(tmp_path / "whole"))
    whole = make_texts(movies_of(grown, "grown"), params, cluster)
    assert artifact_store().manifest(whole).facts["kept"] == 0
    assert (whole.digest, whole.sha256) == (kept.digest, kept.sha256)
    assert not list((tmp_path / "exchange").iterdir()), "finished work leaves nothing behind"


@pytest.mark.parametrize(
    "url", ["s3://key:secret@bucket/prefix", "/no/scheme", "http://host/?token=secret"], ids=lambda _: ""
)
def test_an_exchange_is_a_url_without_credentials(url: str) -> None:
    with pytest.raises(ValueError, match="environment") as caught:
        ClusterParams(exchange=url)
    assert "secret" not in str(caught.value)


def test_an_exchange_that_cannot_be_used_is_a_typed_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ExchangeError, match="can be written"):
        Exchange(f"file://{tmp_path}/file/below").write("name", b"")
    with pytest.raises(ExchangeError, match="protocol is unknown"):
        Exchange("nosuchthing://place")


def test_a_worker_with_another_package_version_is_refused(exchange: Exchange, tmp_path: Path) -> None:
    folder = tmp_path / "packages" / "scikit_learn-0.1.dist-info"
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: scikit-learn\nVersion: 0.1\n")
    with running_scheduler(PYTHONPATH=f"{folder.parent}:{REPOSITORY}") as address, dask_client(address) as client:
        client.wait_for_workers(1, timeout=600)
        with pytest.raises(OtherWorkerError, match=r"found scikit-learn 0.1 \(expected 1."):
            encode_texts(TEXTS[:4], SPEC, on_dask(client), exchange)


def test_no_scheduler_is_a_typed_error() -> None:
    address = f"tcp://127.0.0.1:{free_port()}"
    with pytest.raises(DaskUnreachableError, match="scheduler to local"), dask_client(address):
        pass
