"""The whole way on a real MovieLens release with two real metadata exports."""

import json
from pathlib import Path

import pytest
from tests_support import Marquee, values_of

from storage.artifacts.store import ArtifactStore


@pytest.mark.nightly
@pytest.mark.timeout(900)
def test_real_release_end_to_end(real_data: Path, marquee: Marquee, tmp_path: Path) -> None:
    overrides = {
        "features.text.max_tokens": "16",
        "train.learners": "[ranking, td3]",
        "train.trainer": "{steps: 200, validate_every: 100, log_every: 100}",
        "train.sequence_trainer": "{steps: 100, validate_every: 100, log_every: 100}",
        "train.validation_steps": "500",
        "evaluate.max_steps": "500",
        "evaluate.baselines.names": "[popularity, markov, ease]",
        "evaluate.leave_out": "[off_policy, distances]",
    }
    done = marquee(
        "retrain", "--profile", "ml-latest-small", "--data", f"{real_data}/ml-latest-small",
        "--metadata", f"{real_data}/tmdb-movies,{real_data}/tmdb-5000",
        *(part for name, value in overrides.items() for part in ("--set", f"{name}={value}")),
    )  # fmt: skip
    report = json.loads(Path(values_of(done.stdout)["REPORT"]).with_name("report.json").read_text())
    assert report["generated"] is False
    card = report["cards"]["dataset"]
    assert (card["users"], card["items"], card["events"]) == (610, 9742, 100_836)
    assert any("GroupLens" in licence for licence in card["licences"])
    assert any("TMDB" in licence for licence in card["licences"])
    store = ArtifactStore(tmp_path / "home" / "artifacts")
    items = store.manifest(store.select("items")).facts
    assert 0.6 < items["with_metadata"] / 9742 < 0.75
    assert items["explained_variance"] > 0.5
