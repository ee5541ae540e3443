"""What a user sees when the input is wrong: a message that says what to do, an exit code, nothing half-made."""

import json
import shutil
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file
from tests_support import Marquee, changes, values_of

from storage.artifacts.store import ArtifactStore

MOVIES = "movieId,title,genres\n" + "".join(f"{n},Movie {n} ({1950 + n}),Drama|War\n" for n in range(1, 31))
HEADER = "userId,movieId,rating,timestamp\n"
GOOD = "".join(f"{user},{movie},4.0,{movie * 100}\n" for user in range(1, 30) for movie in range(1, 20))


def release(folder: Path, ratings: str) -> Path:
    folder.mkdir()
    (folder / "ratings.csv").write_text(ratings)
    (folder / "movies.csv").write_text(MOVIES)
    return folder


@pytest.mark.parametrize(
    ("ratings", "error", "advice"),
    [
        (HEADER + GOOD + "1,2,7,100\n", "RatingsValueError", "found 7"),
        pytest.param("user,item,stars,when\n1,1,4,3\n", "RatingsSchemaError", "columns=", marks=pytest.mark.nightly),
        pytest.param(
            HEADER + "".join(f"{user},{movie},4,{movie}\n" for user in (1, 2) for movie in range(1, 20)),
            "GateError",
            "expect_column_distinct_values_to_equal_set",
            marks=pytest.mark.nightly,
        ),
        pytest.param(
            HEADER + "".join(f"{user},{movie},4,{movie}\n" for user in range(1, 30) for movie in range(1, 9)),
            "DatasetError",
            "more than 10 events",
            marks=pytest.mark.nightly,
        ),
        (
            HEADER + "".join(f"{movie},{user},4.0,{movie}\n" for user in range(1, 100) for movie in range(1, 20)),
            "GateError",
            "unknown_share",
        ),
    ],
    ids=["rating of 7", "renamed columns", "too few users to split", "only short histories", "swapped columns"],
)
def test_flow_stops_with_a_typed_error(tmp_path: Path, marquee: Marquee, ratings: str, error: str, advice: str) -> None:
    folder = release(tmp_path / "release", ratings)
    failed = marquee("retrain", "--data", str(folder), *changes(), ok=False)
    assert error in failed.stderr
    assert advice in failed.stderr.replace("\n", " ")
    home = tmp_path / "home"
    assert not (home / "artifacts" / "policy").exists()
    assert not (home / "published").exists()
    assert not list(home.rglob(".draft.*"))


def test_a_release_without_links_tags_and_metadata_goes_through(tmp_path: Path, marquee: Marquee) -> None:
    folder = release(tmp_path / "release", HEADER + GOOD + "77,1,4.0,5\n77,999,4.0,5\n")
    done = marquee("build-dataset", "--data", str(folder), *changes())
    assert "DATASET=" in done.stdout
    assert "dropped unknown movie 1" in done.stdout + done.stderr


def test_unwritable_home_missing_folder_and_unknown_encoder(tmp_path: Path, marquee: Marquee) -> None:
    (tmp_path / "file").write_text("in the way")
    failed = marquee("build-dataset", *changes(), home=tmp_path / "file", ok=False)
    assert "StorageUnwritableError" in failed.stderr
    assert "MARQUEE_HOME" in failed.stderr
    failed = marquee("build-dataset", "--data", str(tmp_path / "absent"), ok=False)
    assert "SourceError" in failed.stderr
    failed = marquee("build-dataset", *changes(features__text__encoder="nobody/none"), ok=False)
    assert "EncoderError" in failed.stderr
    assert "minilm" in failed.stderr


def test_absent_gpu_is_a_typed_error(small_home: Path, marquee: Marquee) -> None:
    again = changes(train__seed="9")
    failed = marquee("train-policy", "--device", "cuda", *again, ok=False, CUDA_VISIBLE_DEVICES="")
    assert "DeviceMissingError" in failed.stderr


def test_a_diverging_run_stops_and_its_best_policy_can_be_kept(small_home: Path, marquee: Marquee) -> None:
    rhythm = "steps: 300, batch_size: 32, validate_every: 5, checkpoint_every: 20, log_every: 5, patience: null"
    bounds = f"{{{rhythm}, max_value: 3.2}}"
    rates = "{hidden_dim: 16, critic_learning_rate: 0.02}"
    run = changes(train__trainer=bounds, train__td3_bc=rates, train__learners="[td3_bc]")
    stopped = marquee("train-policy", *run, ok=False)
    said = " ".join(stopped.stderr.split())
    assert "DivergenceError: td3_bc: update" in said
    assert "below 3.2 in magnitude" in said
    assert "train.on_divergence=keep-best" in said
    checkpoint = max(small_home.glob("checkpoints/*/step-*.pt"))
    kept = marquee("train-policy", *run, "--set", "train.on_divergence=keep-best")
    assert f"resumed at update {int(checkpoint.stem[5:])}" in kept.stdout + kept.stderr
    manifest = json.loads((Path(values_of(kept.stdout)["POLICY_TD3_BC"]) / "manifest.json").read_text())
    assert "below 3.2 in magnitude" in manifest["facts"]["diverged"]
    assert 0 < manifest["facts"]["selected_update"] < manifest["facts"]["updates"] < 300


def test_a_strangers_policy_of_nan_is_refused_in_one_line(small_home: Path, tmp_path: Path, marquee: Marquee) -> None:
    own, theirs = ArtifactStore(small_home / "artifacts"), ArtifactStore(tmp_path / "stranger")
    manifest = next(one for one in own.manifests("policy") if one.facts["learner"] == "td3_bc")
    with theirs.create(manifest.recipe) as draft:
        for entry in manifest.files:
            shutil.copy(own.folder("policy", manifest.digest) / entry.path, draft.path / entry.path)
        weights = load_file(draft.path / "policy.safetensors")
        weights["actor.layers.0.bias"][0] = float("nan")
        save_file(weights, draft.path / "policy.safetensors")
        draft.facts = manifest.facts
    failed = marquee("compare", str(theirs.folder("policy", manifest.digest)), ok=False)
    assert failed.stderr.splitlines()[-1].startswith("PolicyError: ")
    assert (
        failed.stderr.splitlines()[-1].count("expected finite weights; found NaN or infinity in actor.layers.0.bias")
        == 1
    )
