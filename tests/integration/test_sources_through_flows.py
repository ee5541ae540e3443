"""Other sources through the same flows: another domain, an archive, APIs, damaged rows; and later data appended."""

import json
import shutil
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pyarrow.parquet as pq
import pytest
from integration.crawl_support import TOKEN
from integration.replay_server import serving
from integration.test_second_domain import lectures
from tests_support import Marquee, SmallRun, changes, values_of

from models.environments.mechanics import Mechanics
from storage.artifacts.store import ArtifactStore
from storage.dataset.reader import TransitionDataset
from tasks.sample import SampleParams, write_sample

SAMPLE = SampleParams(users=60, movies=120, mechanics=Mechanics(exit_rate=0.05))
HEADER = "userId,movieId,rating,timestamp\n"


@pytest.fixture
def release(tmp_path: Path) -> Path:
    """A release in MovieLens' files."""
    write_sample(tmp_path / "release", SAMPLE)
    return tmp_path / "release"


def dataset_of(output: str) -> TransitionDataset:
    return TransitionDataset.open(Path(values_of(output)["DATASET"]))


@pytest.mark.nightly
@pytest.mark.timeout(400)
def test_university_lectures_become_a_published_policy(marquee: Marquee, tmp_path: Path) -> None:
    generic = lectures(tmp_path / "lectures", students=300).model_copy(
        update={"licence": "lme4 (GPL-2): InstEval, ETH Zurich."}
    )
    done = marquee("retrain", *changes(source__generic=generic.model_dump_json(), evaluate__max_steps="500"))
    values = values_of(done.stdout)
    data = TransitionDataset.open(Path(values["DATASET"]))
    assert (len(data.user_ids), data.items, len(data.item)) == (300, 999, 8_135)
    assert sorted({data.rating(event) for event in range(500)}) == [1, 2, 3, 4, 5]
    assert {float(reward) for reward in data.target_rewards(data.starts("all"))} == {-4, -1.75, 0.5, 2.75, 5}
    report = json.loads(Path(values["REPORT"]).with_name("report.json").read_text())
    assert report["cards"]["dataset"]["licences"] == ["lme4 (GPL-2): InstEval, ETH Zurich."]
    assert report["generated"] is False
    assert "Lecturer" in Path(values["REPORT"]).read_text()


def test_bad_rows_stop_a_run_or_are_set_aside_and_counted(marquee: Marquee, release: Path, tmp_path: Path) -> None:
    ratings = release / "ratings.csv"
    lines = ratings.read_text().splitlines()
    lines[10:10] = ["1,2,7,100", "1,x,4.0,100", '"1",2,4.0,100', "1,2"]
    ratings.write_text("\n".join([*lines, "5,6,3"]))
    (release / "movies.csv").open("a").write('oops,"Nobody\'s (1999)",Drama\n')
    failed = marquee("build-dataset", "--data", str(release), *changes(), ok=False)
    assert "movies.csv, line 122: expected movieId as a whole number; found 'oops'" in failed.stderr
    assert "on_bad_rows=quarantine" in failed.stderr
    done = marquee("build-dataset", "--data", str(release), *changes(source__on_bad_rows="quarantine"))
    assert len(dataset_of(done.stdout).item) == len(lines) - 1 - 4
    store = ArtifactStore(tmp_path / "home" / "artifacts")
    events = store.select("events")
    assert store.manifest(events).facts["quarantined_by_file"] == {"ratings.csv": 5}
    aside = pq.read_table(store.open(events) / "quarantine.parquet").to_pylist()
    assert [row["line"] for row in aside] == [11, 12, 13, 14, len(lines) + 1]
    assert "found 7" in aside[0]["reason"]
    assert store.manifest(store.select("catalogue")).facts["quarantined_by_file"] == {"movies.csv": 1}


@pytest.mark.nightly  # the parts of this way are tested one by one in tests/unit/storage/sources
def test_an_archive_of_the_first_kind_of_release(marquee: Marquee, release: Path, tmp_path: Path) -> None:
    rows = [line.split(",") for line in (release / "ratings.csv").read_text().splitlines()[1:]]
    stars = "".join(f"{user}::{movie}::{max(1, round(float(stars)))}::{at}\n" for user, movie, stars, at in rows)
    with zipfile.ZipFile(tmp_path / "ml-1m.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("ml-1m/ratings.dat", stars)
        movies = {int(row[1]) for row in rows}
        titles = "".join(f"{movie}::Café {movie}, The (1999)::Drama|War\n" for movie in sorted(movies))
        archive.writestr("ml-1m/movies.dat", titles.encode("latin-1"))
        archive.writestr("ml-1m/users.dat", "1::F::1::10::48067\n")
    done = marquee("build-dataset", "--data", str(tmp_path / "ml-1m.zip"), *changes())
    data = dataset_of(done.stdout)
    assert len(data.item) == len(rows)
    items = pq.read_table(Path(values_of(done.stdout)["DATASET"]).with_name("items.parquet"))
    assert items["title"][0].as_py().startswith("The Café")


def test_metadata_of_an_api_reaches_the_items(marquee: Marquee, release: Path, tmp_path: Path) -> None:
    links = [line.split(",") for line in (release / "links.csv").read_text().splitlines()[1:]]
    bodies = {
        f"/3/movie/{tmdb}": json.dumps(
            {"id": int(tmdb), "imdb_id": f"tt{imdb}", "overview": f"Asked of the service: {movie}.", "runtime": 90}
        ).encode()
        for movie, imdb, tmdb in links
        if tmdb
    }
    with serving(bodies) as server:
        api = json.dumps({"enabled": True, "base_url": f"{server.url}/3", "requests_per_second": 500})
        arguments = ("build-dataset", "--data", str(release), *changes(source__tmdb_api=api))
        first = marquee(*arguments, TMDB_API_TOKEN=TOKEN)
        asked = len(server.log)
        again = marquee(*arguments, TMDB_API_TOKEN=TOKEN)
    assert len(bodies) <= asked == len(server.log)
    assert values_of(first.stdout) == values_of(again.stdout)
    store = ArtifactStore(tmp_path / "home" / "artifacts")
    movies = pq.read_table(store.open(store.select("movies")) / "movies.parquet")
    assert sum("Asked of the service" in (text or "") for text in movies["overview"].to_pylist()) == len(bodies)
    assert any("TMDB" in note for note in store.manifest(store.select("dataset")).licences)
    assert TOKEN not in first.stdout + first.stderr + json.dumps(store.manifest(store.select("movies")).facts)


@pytest.mark.timeout(400)
def test_later_ratings_are_appended_without_encoding_old_items_again(
    marquee: Marquee, release: Path, tmp_path: Path
) -> None:
    lines = (release / "ratings.csv").read_text().splitlines()[1:]
    movies = (release / "movies.csv").read_text().splitlines()
    dropped = movies[40].split(",")[0]
    first, later = tmp_path / "first", tmp_path / "later"
    for folder in (first, later):
        shutil.copytree(release, folder)
    known = [line for line in lines if line.split(",")[1] != dropped]
    (first / "ratings.csv").write_text(HEADER + "\n".join(known[: -len(known) // 4]) + "\n")
    (first / "movies.csv").write_text("\n".join(movies[:40] + movies[41:]) + "\n")
    new = [line for line in lines if line not in set(known[: -len(known) // 4])]
    (later / "ratings.csv").write_text(HEADER + "\n".join(new) + "\n")
    metadata = ("--metadata", str(release / "metadata"))
    base = marquee("build-dataset", "--data", str(first), *metadata, *changes())
    done = marquee("extend-dataset", "--data", str(later), *metadata, *changes())
    old, grown = dataset_of(base.stdout), dataset_of(done.stdout)
    assert len(grown.item) == len(lines)
    assert grown.items == old.items + 1
    with h5py.File(values_of(base.stdout)["DATASET"]) as one, h5py.File(values_of(done.stdout)["DATASET"]) as two:
        assert one.attrs["time_cut"] == two.attrs["time_cut"]
    assert (
        grown.embedding[np.searchsorted(grown.movie_ids, old.movie_ids)].numpy().tobytes()
        == old.embedding.numpy().tobytes()
    )
    place = np.searchsorted(grown.user_ids, old.user_ids)
    assert np.array_equal(grown.user_split[place], old.user_split)
    store = ArtifactStore(tmp_path / "home" / "artifacts")
    texts = max(store.manifests("texts"), key=lambda manifest: manifest.created_at)
    assert texts.rows - texts.facts["kept"] == 1, "old texts were encoded again"
    for table in ("movies", "events", "items", "transitions"):  # of the first dataset and of the extended one
        assert len(store.manifests(f"validation-{table}")) == 2
    again = marquee(
        "extend-dataset",
        "--data",
        str(later),
        *metadata,
        "--dataset",
        Path(values_of(base.stdout)["DATASET"]).parent.name,
        *changes(),
    )
    assert values_of(again.stdout) == values_of(done.stdout)
    trained = marquee("train-policy", "--dataset", Path(values_of(done.stdout)["DATASET"]).parent.name, *changes())
    assert "POLICY_TD3_BC" in values_of(trained.stdout)


def test_the_dense_layout_from_the_command_line(small_run: SmallRun, marquee: Marquee, tmp_path: Path) -> None:
    dataset = small_run.values["DATASET"]
    out = tmp_path / "dense.h5"
    marquee(
        "export",
        "--dataset",
        dataset,
        "--layout",
        "dense",
        "--dtype",
        "float16",
        "--splits",
        "train,test",
        "--out",
        str(out),
    )
    data = TransitionDataset.open(Path(dataset))
    with h5py.File(out) as file:
        assert file["observations"].dtype == np.float16
        assert len(file["rewards"]) == len(data.starts("train")) + len(data.starts("test"))
    failed = marquee("export", "--dataset", dataset, "--splits", "training", "--out", str(out), ok=False)
    assert "expected one of train, validation, test" in " ".join(failed.stderr.replace("│", "").split())
    failed = marquee("export", "--dataset", str(out), "--out", str(tmp_path / "again.h5"), ok=False)
    assert "DatasetError" in failed.stderr
    assert not (tmp_path / "again.h5").exists()
