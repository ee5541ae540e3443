"""Training with the simulated users of a dataset, from the command line to the report."""

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from tests_support import Marquee, changes, values_of

from storage.artifacts.store import ArtifactStore

SHORT = "{steps: 512, envs: 16, validate_every: 256, ppo: {n_steps: 16, batch_size: 64, n_epochs: 1}}"


def test_a_policy_is_fine_tuned_with_simulated_users_and_reported_as_any_other(
    marquee: Marquee, small_home: Path
) -> None:
    pytest.importorskip("stable_baselines3")
    arguments = ("train-online", "--fine-tune", "td3_bc", *changes(online=SHORT))
    first = marquee(*arguments).stdout
    folder = Path(values_of(first)["POLICY"])
    store = ArtifactStore(small_home / "artifacts")
    facts = store.manifest(store.select("policy", folder.name)).facts
    assert facts["learner"] == "online_ppo_from_td3_bc"
    curve = pq.read_table(folder / "metrics.parquet").to_pandas()
    returns = curve[curve["metric"] == "return"]
    assert returns["step"].tolist() == [0, 256, 512, 512]
    assert returns["value"].max() == pytest.approx(facts["validation_return"], abs=1e-3)
    written = (folder / "policy.safetensors").stat().st_mtime_ns
    assert values_of(marquee(*arguments).stdout)["POLICY"] == str(folder)  # from the cache
    assert (folder / "policy.safetensors").stat().st_mtime_ns == written

    page = Path(values_of(marquee("evaluate-policy", *changes()).stdout)["REPORT"])
    report = json.loads(page.with_name("report.json").read_text())
    returns_by_name = {one["name"]: one["value"] for one in report["environment"]["methods"]}
    assert {"online_ppo_from_td3_bc", "td3_bc", "ranking"} <= returns_by_name.keys()
    card = next(one for one in report["cards"]["models"] if one["name"] == "online_ppo_from_td3_bc")
    assert "simulated users" in card["summary"]
    assert card["hyper_parameters"]["steps"] == 512

    refused = marquee("train-online", "--fine-tune", "ranking", *changes(online=SHORT), ok=False).stderr
    assert "expected a policy on this dataset's items with an actor" in refused
