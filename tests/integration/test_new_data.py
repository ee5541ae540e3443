"""Retraining only when there is something new, with a gate on drift."""

import csv
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from integration.prefect_support import events_of, post
from tests_support import Marquee, SmallRun, changes, values_of

from storage.artifacts.aliases import read_alias
from storage.artifacts.object_stores.folder import LocalFolder
from storage.artifacts.store import ArtifactStore
from storage.dataset.reader import TransitionDataset


def later_release(home: Path, to: Path) -> Path:
    """The generated release with later ratings of known users, who rate everything 5 and ten movies a day."""
    (sample,) = (home / "artifacts" / "sample").iterdir()
    to.mkdir()
    for name in ("movies.csv", "links.csv"):
        shutil.copy(sample / name, to)
    with (sample / "ratings.csv").open() as file:
        header, *rows = list(csv.reader(file))
    last = max(int(row[3]) for row in rows)
    movies = sorted({row[1] for row in rows})
    users = sorted({row[0] for row in rows})[:30]
    later = [
        [user, movies[(place * 7 + turn) % len(movies)], "5.0", str(last + 86_400 + turn)]
        for place, user in enumerate(users)
        for turn in range(10)
    ]
    with (to / "ratings.csv").open("w", newline="") as file:
        csv.writer(file).writerows([header, *later])
    return to


def published(home: Path) -> str:
    found = read_alias(LocalFolder(home / "published"), "dataset", "latest")
    assert found is not None
    return found[0].digest


def artifact(env: dict[str, str], done: Any, key: str) -> Any:
    """The artifact of a key that a command's flow run made in the Prefect UI."""
    run = re.findall(r"/runs/flow-run/([0-9a-f-]+)", done.stdout + done.stderr)[0]
    wanted = {"artifacts": {"key": {"any_": [key]}, "flow_run_id": {"any_": [run]}}}
    (found,) = post(env, "artifacts/filter", wanted)
    return found["data"]


@pytest.mark.timeout(850)
def test_new_data_is_checked_for_drift_then_trained_on_and_then_no_longer_new(
    small_run: SmallRun, small_home: Path, prefect_env: dict[str, str], marquee: Marquee, tmp_path: Path
) -> None:
    store, base = ArtifactStore(small_home / "artifacts"), published(small_home)
    policies = len(store.manifests("policy"))

    def retrain(*more: str, ok: bool = True) -> Any:
        return marquee("retrain", "--on-new-data", *more, *changes(train__learners="[td3_bc]"), ok=ok)

    unchanged = retrain()
    assert "No file of the source has changed" in artifact(prefect_env, unchanged, "new-data")
    assert "Nothing is new since the last publication" in unchanged.stdout
    assert values_of(unchanged.stdout) == {}

    data = ("--data", str(later_release(small_home, tmp_path / "later")))
    stopped = retrain(*data, ok=False)
    assert "GateError: drift: 3 rows, 2 expectations: FAILED" in stopped.stderr
    assert '"measure": "ratings"' in stopped.stderr.replace('\\"', '"')
    rows = {row["measure"]: row for row in json.loads(artifact(prefect_env, stopped, "drift"))}
    assert set(rows) == {"ratings", "catalogue", "activity"}
    assert rows["ratings"]["later_events"] == 300
    assert rows["ratings"]["psi"] > rows["ratings"]["fail_above"] == 0.25
    assert published(small_home) == base, "what did not pass the gate is not published"
    assert len(store.manifests("policy")) == policies

    (earlier,) = [one.digest for one in store.manifests("policy") if one.facts["learner"] == "td3_bc"]
    done = retrain(*data, "--set", "drift.fail_above=null", "--set", "train.start=warm")
    paths = values_of(done.stdout)["DATASET"], small_run.values["DATASET"]
    grown, old = (TransitionDataset.open(Path(path)) for path in paths)
    assert len(grown.item) == len(old.item) + 300
    assert grown.head.time_cut > old.head.time_cut, "later events would not be trained on"
    assert published(small_home) == Path(paths[0]).parent.name != base
    trained_from = store.manifest(store.select("policy")).recipe.inputs
    assert trained_from == {"dataset": published(small_home), "earlier": earlier}
    report = json.loads(Path(values_of(done.stdout)["REPORT"]).with_name("report.json").read_text())
    assert {one["measure"]: one["later_events"] for one in report["cards"]["drift"]}["ratings"] == 300
    assert report["verdict"]["promotion"]["users"] > 0
    (drift,) = events_of(prefect_env, done.stdout, "marquee.drift.found")
    assert drift["payload"]["stops"] is False
    (decision,) = events_of(prefect_env, done.stdout, "marquee.champion.kept", "marquee.champion.promoted")
    assert decision["payload"]["previous"] == Path(small_run.values["POLICY"]).name
    assert decision["payload"]["comparison"]["users"] > 0, "the champion of another dataset was compared"

    again = retrain(*data)
    assert "Nothing is new" in again.stdout
    assert f"No file of the source has changed since dataset/{published(small_home)}" in artifact(
        prefect_env, again, "new-data"
    )


def test_new_data_needs_the_published_dataset_here(small_home: Path, marquee: Marquee, tmp_path: Path) -> None:
    shutil.rmtree(small_home / "artifacts" / "dataset")
    failed = marquee("retrain", "--on-new-data", *changes(), ok=False)
    assert "expected dataset/" in failed.stderr
    assert "make a new one here with marquee retrain" in failed.stderr
