from pathlib import Path

import numpy as np
from sample_support import read_events

from models.environments.mechanics import Mechanics
from storage.files import sha256_file
from storage.sources.bad_rows import BadRows
from storage.sources.metadata.files import MetadataFile, read_metadata
from storage.sources.metadata.join import join_metadata
from storage.sources.movielens.movies import read_movies
from storage.sources.movielens.releases import find_release
from tasks.sample import SampleParams, load_truth, write_sample

PARAMS = SampleParams(users=80, movies=150, mechanics=Mechanics(exit_rate=0.02))


def hashes(folder: Path) -> dict[str, str]:
    return {path.name: sha256_file(path) for path in folder.rglob("*") if path.is_file()}


def test_equal_parameters_give_equal_bytes(tmp_path: Path) -> None:
    write_sample(tmp_path / "a", PARAMS)
    write_sample(tmp_path / "b", PARAMS)
    write_sample(tmp_path / "c", PARAMS.model_copy(update={"seed": 8}))
    assert hashes(tmp_path / "a") == hashes(tmp_path / "b") != hashes(tmp_path / "c")


def test_files_are_read_by_the_real_readers(tmp_path: Path) -> None:
    facts = write_sample(tmp_path, PARAMS)
    movies, _ = read_movies(find_release(tmp_path), BadRows())
    events, counts = read_events(tmp_path)
    export = MetadataFile(path=tmp_path / "metadata" / "tmdb_movies.csv")
    joined, covered = join_metadata(movies, [("e", read_metadata(export).table)])
    assert len(events.item) == facts["ratings"] == counts["rows"]
    assert 0.8 < covered["covered"] / joined.num_rows < 1
    assert counts["rated_movies"] < movies.num_rows


def test_ratings_follow_the_truth(tmp_path: Path) -> None:
    write_sample(tmp_path, PARAMS)
    truth = load_truth(tmp_path)
    events, _ = read_events(tmp_path)
    user = np.repeat(np.searchsorted(truth.user_ids, events.user_id), events.length)
    assert (user == truth.log.user).all()
    assert (events.item == truth.log.item).all()
    assert (events.code == 2 * truth.log.stars).all()
    assert np.corrcoef(truth.users.world.affinity(user, events.item[:, None])[:, 0], events.code)[0, 1] > 0.3
    assert truth.users.mechanics == PARAMS.mechanics


def test_histories_end_when_users_leave(tmp_path: Path) -> None:
    """Only the few that are cut have less than 12 ratings; users leave when they are less satisfied than usual."""
    write_sample(tmp_path, SampleParams(users=400, movies=300))
    log = load_truth(tmp_path).log
    lengths = np.bincount(log.user)
    assert 0 < (lengths < 12).sum() < 20
    assert lengths.max() <= 198
    last = np.cumsum(lengths) - 1
    assert log.satisfaction[last].mean() < log.satisfaction.mean() - 0.1
