"""`marquee embed-items` and what it makes, with a dataset and policies of a whole retraining."""

import csv
import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from tests_support import Marquee, values_of

from storage.artifacts.store import ArtifactStore
from storage.tables import METADATA_SCHEMA, embedding_matrix


def test_movies_that_came_after_the_training_are_placed_and_recommended(
    small_home: Path, marquee: Marquee, tmp_path: Path
) -> None:
    """Unrated movies of the dataset are written again under new ids: they get the embeddings that the dataset has of them."""
    store = ArtifactStore(small_home / "artifacts")
    movies = pq.read_table(store.open(store.select("movies")) / "movies.parquet").to_pylist()
    items = pq.read_table(store.open(store.select("policy")) / "items.parquet")
    unrated = np.flatnonzero(items["training_events"].to_numpy() == 0)[:4]
    assert len(unrated) > 1
    names = ["movie_id", "title", "year", "genres", *METADATA_SCHEMA.names]
    with (tmp_path / "new.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(names)
        for place in unrated.tolist():
            row = movies[place] | {"movie_id": 1_000_000 + place}
            writer.writerow(["|".join(row[name]) if isinstance(row[name], list) else row[name] for name in names])
    out = tmp_path / "new.parquet"
    done = marquee("embed-items", str(tmp_path / "new.csv"), "--dataset", "latest", "--out", str(out))
    assert values_of(done.stdout) == {"ITEMS": str(out)}
    assert f"{len(unrated)} movies, " in done.stdout
    placed = embedding_matrix(pq.read_table(out))
    np.testing.assert_allclose(placed, embedding_matrix(items)[unrated], atol=1e-4)

    liked = items["title"][int(items["training_events"].to_numpy().argmax())].as_py()
    for more in ([], ["--method", "content similarity"]):
        asked = ["--policy", "policy@latest", "--rate", f"{liked}=5", "-k", "200", "--json", *more]
        answer = json.loads(marquee("recommend", *asked, "--items", str(out)).stdout)
        assert len(answer) == len(items) - 1 + len(unrated)
        score = {item["movie_id"]: item["score"] for item in answer}
        for place in unrated.tolist():
            twin = score[items["movie_id"][place].as_py()]
            assert np.isclose(score[1_000_000 + place], twin, atol=1e-3), more
