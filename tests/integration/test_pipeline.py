"""The whole way on generated data: what it makes, re-uses, mends and makes again."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import jsonschema
import numpy as np
import pyarrow.parquet as pq
import pytest
from integration.prefect_support import events_of, flow_runs_of, post
from tests_support import REPOSITORY, Marquee, SmallRun, changes, values_of

from evaluation.baselines import BaselineParams
from storage.artifacts.store import ArtifactStore
from storage.dataset.reader import TransitionDataset

HEAVY = {
    "sample", "catalogue", "movies", "events", "tags", "splits", "texts", "items", "feature-report", "dataset", "policy",
    "baselines", "report",
    "validation-movies", "validation-events", "validation-items", "validation-transitions",
}  # fmt: skip


def states_of(env: dict[str, str], output: str) -> dict[str, set[str]]:
    """Names of the final states of all task runs of a command, by task."""
    runs = post(env, "task_runs/filter", {"flow_runs": flow_runs_of(env, output), "limit": 200})
    states: dict[str, set[str]] = {}
    for run in runs:
        states.setdefault(run["name"].rsplit("-", 1)[0], set()).add(run["state_name"])
    return states


def test_outputs_and_last_lines(small_run: SmallRun) -> None:
    home, values, output = small_run
    assert list(values) == ["DATASET", "POLICY", "REPORT", "PUBLISHED"]
    data = TransitionDataset.open(Path(values["DATASET"]))
    assert data.dim == 16
    report = json.loads(Path(values["REPORT"]).with_name("report.json").read_text())
    assert report["generated"] is True
    results = report["methods"]["results"]
    evaluated = {(one["name"], one["split"], one["protocol"]) for one in results}
    for name in ("td3_bc", "ranking", "iql", *BaselineParams().names):
        assert {(name, "test", "next-item"), (name, "test", "fold-in"), (name, "validation", "next-item")} <= evaluated
    assert report["verdict"]["challenger"] in ("td3_bc", "ranking", "iql")
    assert report["verdict"]["headline"] in output
    assert [row["tried"] for row in report["cards"]["baselines"] if row["name"] == "markov"] == [3]
    assert report["off_policy"]["policies"][0]["true_value"] is not None
    assert {"ranking", "iql", "markov", "greedy on the true reward"} <= {
        one["name"] for one in report["environment"]["methods"]
    }
    rankings = pq.read_table(Path(values["REPORT"]).with_name("rankings.parquet")).to_pandas()
    for one in results:
        keys = ("name", "method"), ("split", "split"), ("protocol", "protocol")
        rows = rankings[np.logical_and.reduce([rankings[column] == one[key] for key, column in keys])]
        if one["protocol"] == "next-item":
            hit = rows["rank"].map(lambda ranks: float(ranks[0] < 10))
            assert np.isclose(hit.groupby(rows["user_id"]).mean().mean(), one["metrics"]["recall@10"], atol=1e-5)
    jsonschema.validate(report, json.loads(Path(values["REPORT"]).with_name("report.schema.json").read_text()))
    assert "/runs/flow-run/" in output
    manifest = ArtifactStore(home / "artifacts").select("report")
    assert manifest.digest in values["REPORT"]
    assert not list(home.rglob(".draft.*"))


def test_the_command_at_the_end_recommends_movies(small_run: SmallRun, marquee: Marquee) -> None:
    _, *words = small_run.command("To get recommendations:")
    done = marquee(*words, "-k", "5", "--json", home=small_run.home)
    found = json.loads(done.stdout)
    assert len(found) == 5
    titles = [word.rpartition("=")[0] for word in words if word.endswith("=5")]
    assert len(titles) == 2
    assert {one["title"] for item in found for one in item["because"]} <= {title[:-7] for title in titles}
    ease = marquee(*words, "-k", "5", "--method", "ease", home=small_run.home)
    assert "Ranked by ease." in ease.stdout
    card = marquee("model-card", "policy@latest", home=small_run.home).stdout
    assert re.search(r"\| ranking \| policy \| [.\d]+ \| [.\d]+ – [.\d]+ \|", card)


def test_second_run_does_no_heavy_task(small_run: SmallRun, prefect_env: dict[str, str], marquee: Marquee) -> None:
    again = marquee("retrain", *changes(), home=small_run.home)
    assert values_of(again.stdout) == small_run.values
    states = states_of(prefect_env, again.stdout)
    assert {name: states[name] for name in HEAVY} == {name: {"Cached"} for name in HEAVY}


def test_ui_artifacts_are_there(small_run: SmallRun, prefect_env: dict[str, str]) -> None:
    ids = flow_runs_of(prefect_env, small_run.output)["id"]
    artifacts = post(prefect_env, "artifacts/filter", {"artifacts": {"flow_run_id": ids}, "limit": 200})
    kinds = {(artifact["key"], artifact["type"]) for artifact in artifacts}
    assert {
        ("train-td3-bc", "progress"),
        ("tune-baselines", "progress"),
        ("gate-movies", "markdown"),
        ("gate-events", "markdown"),
        ("gate-items", "markdown"),
        ("gate-transitions", "markdown"),
        ("features", "table"),
        ("embedding", "image"),
        ("methods", "table"),
        ("report", "markdown"),
        ("report-verdict", "image"),
        ("report-curves", "image"),
        ("report-popularity", "image"),
        ("costs", "table"),
        *((f"{flow}-summary", "markdown") for flow in ("retrain", "build-dataset", "train-policy", "evaluate-policy")),
        ("publish-artifacts-summary", "markdown"),
    } <= kinds
    (told,) = [artifact["data"] for artifact in artifacts if artifact["key"] == "retrain-summary"]
    for part in ("Report", "Made from", "Published", "Policies", "Datasets", "Gates", "Steps", "Pages"):
        assert f"\n## {part}\n" in told
    assert "](data:image/png;base64," in told
    assert "| metadata-0 | tmdb_movies.csv |" in told
    verdict = next(artifact["data"] for artifact in artifacts if artifact["key"] == "report")
    assert "| popularity |" in verdict
    done = [artifact["data"] for artifact in artifacts if artifact["key"] == "train-td3-bc"]
    assert 100 in [float(value) for value in done]


def test_missing_and_damaged_artifacts_are_made_again_alike(
    small_run: SmallRun, small_home: Path, marquee: Marquee
) -> None:
    store = ArtifactStore(small_home / "artifacts")
    texts, dataset = store.select("texts"), store.select("dataset")
    shutil.rmtree(store.folder("texts", texts.digest))
    spoilt = store.folder("dataset", dataset.digest) / "transitions.h5"
    spoilt.write_bytes(spoilt.read_bytes()[:-1] + b"?")
    kept = {kind: store.manifests(kind)[0].created_at for kind in ("movies", "items", "report")}
    done = marquee("retrain", *changes())
    assert "is damaged and will be made again" in done.stdout + done.stderr
    assert store.find("texts", texts.digest) is not None
    assert store.find("dataset", dataset.digest) is not None
    assert {kind: store.manifests(kind)[0].created_at for kind in kept} == kept
    assert Path(values_of(done.stdout)["REPORT"]).parent.name == Path(small_run.values["REPORT"]).parent.name


def test_changed_helper_invalidates_exactly_what_depends_on_it(
    small_home: Path, prefect_env: dict[str, str], tmp_path: Path
) -> None:
    home, code = small_home, tmp_path / "code"
    for package in ("flows", "tasks", "models", "expectations", "evaluation", "storage"):
        shutil.copytree(REPOSITORY / package, code / package, ignore=shutil.ignore_patterns("__pycache__"))
    helper = code / "models" / "encoders" / "reduce.py"
    changed = helper.read_text().replace("LEAST_VARIANCE = 1e-5", "LEAST_VARIANCE = 1e-6")
    assert changed != helper.read_text()
    helper.write_text(changed)
    store = ArtifactStore(home / "artifacts")
    before = {path.parent.name: path.name for path in (home / "artifacts").glob("*/*")}
    env = prefect_env | {"MARQUEE_HOME": str(home), "PYTHONPATH": str(code)}
    command = [sys.executable, "-m", "flows.cli", "build-dataset", *changes()]
    done = subprocess.run(command, env=env, cwd=code, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    made = {kind for kind in before if len(store.manifests(kind)) == 2}
    expected = {"items", "validation-items", "feature-report", "dataset", "validation-transitions"}
    assert made - {"policy"} == expected  # two learners, two policies, from the start


def test_published_artifacts_can_be_pulled(small_run: SmallRun, marquee: Marquee, tmp_path: Path) -> None:
    _, values, _ = small_run
    for spec in ("policy@latest", "policy@champion", "policy@td3_bc", "dataset@latest", "report@latest"):
        done = marquee("pull", spec, "--from", values["PUBLISHED"], "--to", str(tmp_path / "pulled"))
        folder = Path(values_of(done.stdout)["PULLED"])
        assert (folder / "manifest.json").exists()
    failed = marquee("pull", "policy@best", "--from", values["PUBLISHED"], "--to", str(tmp_path / "pulled"), ok=False)
    assert "UnknownAliasError" in failed.stderr
    assert "champion" in failed.stderr


def test_stages_run_alone_by_digest(small_run: SmallRun, small_home: Path, marquee: Marquee, tmp_path: Path) -> None:
    values = small_run.values
    digest = Path(values["DATASET"]).parent.name
    trained = marquee("train-policy", "--dataset", digest[:8], *changes(train__learners="[td3]", train__seed="5"))
    assert list(values_of(trained.stdout)) == ["POLICY_TD3"]
    evaluated = marquee("evaluate-policy", *changes())
    report = json.loads(Path(values_of(evaluated.stdout)["REPORT"]).with_name("report.json").read_text())
    inputs = {one["role"]: one["digest"] for one in report["cards"]["provenance"]["inputs"]}
    assert inputs["td3"] == Path(values_of(trained.stdout)["POLICY_TD3"]).name
    published = marquee("publish", "--to", str(tmp_path / "elsewhere"), *changes())
    assert values_of(published.stdout)["PUBLISHED"] == (tmp_path / "elsewhere").as_uri()


def test_any_policies_are_compared_side_by_side(
    small_run: SmallRun, small_home: Path, marquee: Marquee, tmp_path: Path
) -> None:
    home, values, pulled = small_home, small_run.values, tmp_path / "pulled"
    other = marquee("train-policy", *changes(train__learners="[td3_bc]", train__seed="5"))
    digest = Path(values_of(other.stdout)["POLICY_TD3_BC"]).name
    marquee("pull", "policy@td3_bc", "--from", values["PUBLISHED"], "--to", str(pulled))
    folder = next((pulled / "policy").iterdir())
    specs = ("policy@ranking", digest[:10], str(folder), f"policy@{folder.name}")
    done = marquee("compare", *specs, "--from", values["PUBLISHED"], *changes())
    path = Path(values_of(done.stdout)["REPORT"])
    report = json.loads(path.with_name("report.json").read_text())
    results = [one for one in report["methods"]["results"] if (one["split"], one["protocol"]) == ("test", "next-item")]
    names = ["ranking", f"td3_bc {digest[:8]}", f"td3_bc {folder.name[:8]}"]
    assert [one["name"] for one in results if one["kind"] == "policy"] == names
    assert len({one["users"] for one in results}) == 1
    assert "runner-up" in [one["role"] for one in report["verdict"]["opponents"]]
    assert len(ArtifactStore(home / "artifacts").manifests("baselines")) == 1, "baselines were tuned again"
    with_champion = marquee(
        "compare", "policy@champion", "policy@latest", digest, "--from", values["PUBLISHED"], *changes()
    )
    report = json.loads(Path(values_of(with_champion.stdout)["REPORT"]).with_name("report.json").read_text())
    assert report["verdict"]["opponents"][0]["role"] == "champion"
    for spec, error in (
        ("policy@best", "UnknownAliasError"),
        ("0000", "ArtifactError"),
        ("dataset@latest", "policy@<alias"),
    ):
        failed = marquee("compare", spec, "--from", values["PUBLISHED"], *changes(), ok=False)
        assert error in failed.stderr


def test_a_retraining_is_compared_with_the_champion(
    small_run: SmallRun, small_home: Path, prefect_env: dict[str, str], marquee: Marquee, tmp_path: Path
) -> None:
    shutil.rmtree(small_home / "artifacts" / "policy")  # so that the champion is one from elsewhere
    again = marquee("retrain", *changes(train__seed="9", evaluate__leave_out="[off_policy, distances]"))
    report = json.loads(Path(values_of(again.stdout)["REPORT"]).with_name("report.json").read_text())
    assert report["verdict"]["opponents"][0]["role"] == "champion"
    assert "the champion" in report["verdict"]["headline"]
    cards = {one["name"]: one for one in report["cards"]["models"]}
    assert (cards["champion"]["kind"], cards["champion"]["digest"]) == (
        "champion",
        Path(small_run.values["POLICY"]).name,
    )
    assert report["off_policy"] is None
    promotion = report["verdict"]["promotion"]
    assert (promotion["metric"], promotion["confidence"]) == ("ndcg@10", 0.95)
    results = {one["name"]: one for one in report["methods"]["results"] if one["split"] == "validation"}
    assert promotion["users"] == results["champion"]["users"]
    assert promotion["champion"] == pytest.approx(results["champion"]["metrics"]["ndcg@10"])
    difference = promotion["challenger"] - promotion["champion"]
    assert promotion["difference"] == pytest.approx(difference, abs=1e-5)
    name = "marquee.champion.promoted" if promotion["better"] else "marquee.champion.kept"
    (event,) = events_of(prefect_env, again.stdout, name)
    assert event["resource"]["prefect.resource.id"] == "marquee.champion"
    assert event["payload"]["previous"] == Path(small_run.values["POLICY"]).name
    assert event["payload"]["comparison"]["difference"] == pytest.approx(promotion["difference"], rel=1e-5)
    (first,) = events_of(prefect_env, small_run.output, "marquee.champion.promoted")
    assert first["payload"]["why"] == "There was no champion."
    origins = {one["role"]: one["origin"] for one in report["cards"]["provenance"]["inputs"]}
    assert origins == dict.fromkeys(origins) | {"champion": (small_home / "published").as_uri()}
    page = Path(values_of(again.stdout)["REPORT"]).read_text()
    assert page.count("This policy was not trained in this work directory.") == 1
    assert not (small_home / "artifacts" / "policy" / cards["champion"]["digest"]).exists()
