"""Movies that a dataset was built without are placed where a build with them would have placed them, and recommended."""

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from items_tables_support import MOVIES, artifact, build_items, events_table, movies_table, tags_table
from safetensors.torch import save_file
from unit.serving.serving_support import SCALE

from models.encoders.text_encoders import find_encoder
from models.errors import EncoderError
from models.networks import Actor
from models.policy import Policy
from serving.asking import Question, Rated
from serving.loading import load
from serving.served import Served
from storage.artifacts.manifest import Recipe
from storage.artifacts.store import ArtifactRef, Draft
from storage.dataset.item_table import FEATURES
from storage.dataset.scale import RatingRewards, RewardMap
from storage.errors import ArtifactError, DatasetError
from storage.tables import embedding_matrix
from tasks.caching import artifact_store
from tasks.embed_items import dataset_folder, embed_items
from tasks.encode_texts import item_texts
from tasks.texts import TextParams

TEXT = TextParams(precision="float32", max_tokens=16)
REMOVED = (570, 590, 580)  # ids of movies that nobody rated
FRAME = 2


@pytest.fixture(scope="module")
def movies() -> pa.Table:
    """Movies whose last four nobody rated."""
    return movies_table(np.random.default_rng(0))


@pytest.fixture(scope="module")
def vectors(movies: pa.Table) -> Any:
    """Their text vectors by the real encoder."""
    return find_encoder(TEXT.encoder).load(TEXT.max_tokens, "float32").encode(item_texts(movies))


@pytest.fixture
def build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, movies: pa.Table, vectors: Any) -> Any:
    """Builds the items of some of the movies."""
    monkeypatch.setenv("MARQUEE_HOME", str(tmp_path / "home"))
    made_by = {"params": TEXT.model_dump(mode="json"), "weights": find_encoder(TEXT.encoder).identity()}

    def call(keep: np.ndarray) -> ArtifactRef:
        rng = np.random.default_rng(0)
        events, tags = events_table(rng), tags_table(rng)
        known = movies.filter(pa.array(keep))
        tags = tags.filter(pa.compute.is_in(tags["movie_id"], pa.array(range(0, 10 * MOVIES - 40, 10))))
        return build_items(events, tags, known, text=vectors[keep], encoder=made_by)

    return call


def dataset_of(items: ArtifactRef) -> ArtifactRef:
    """The part of a dataset's artifact that embedding needs."""
    folder = artifact_store().open(items)
    return artifact(
        "dataset", lambda draft: [shutil.copy(folder / name, draft.path) for name in ("items.parquet", FEATURES)]
    )


def policy_on(dataset: ArtifactRef) -> Path:
    """The folder of a policy on a dataset's items."""
    items = pq.read_table(artifact_store().open(dataset) / "items.parquet")
    vectors = torch.tensor(embedding_matrix(items))
    torch.manual_seed(0)
    policy = Policy(Actor(FRAME * (vectors.shape[1] + 1), vectors.shape[1], 8, 1.0), vectors, "cosine")
    recipe = Recipe(kind="policy", schema_version=1, parameters={}, inputs={"dataset": dataset.digest}, code="")
    with artifact_store().create(recipe) as draft:
        save_file(policy.tensors(), draft.path / "policy.safetensors")
        (draft.path / "config.json").write_text(json.dumps(policy.config()))
        pq.write_table(
            items.append_column("training_events", pa.array(np.ones(len(vectors), np.int64))),
            draft.path / "items.parquet",
        )
        rewards = RatingRewards(scale=SCALE, reward=RewardMap.default(SCALE))
        (draft.path / "ratings.json").write_text(rewards.model_dump_json())
    return artifact_store().open(draft.committed)


def written(path: Path, movies: pa.Table, ids: tuple[int, ...]) -> Path:
    """A CSV file of some movies, as a person writes one."""
    names = ["movie_id", "title", "year", "genres", "overview", "countries", "languages", "cast", "keywords",
             "original_language", "runtime_minutes", "budget_usd", "awards"]  # fmt: skip
    rows = {row["movie_id"]: row for row in movies.to_pylist()}
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(names)
        for place in ids:
            values = [rows[place][name] for name in names]
            writer.writerow(["|".join(value) if isinstance(value, list) else value for value in values])
    return path


def test_a_removed_movie_is_placed_as_if_it_had_been_there_and_is_recommended(
    tmp_path: Path, movies: pa.Table, build: Any
) -> None:
    is_new = np.isin(movies["movie_id"].to_numpy(), REMOVED)
    dataset = dataset_of(build(~is_new))
    out = tmp_path / "more" / "new.parquet"
    facts = embed_items(written(tmp_path / "new.csv", movies, REMOVED), artifact_store().open(dataset), out)
    assert facts == {"movies": 3, "with_text": 3, "with_metadata": 3}
    placed = pq.read_table(out)
    assert placed["movie_id"].to_pylist() == sorted(REMOVED)
    together = pq.read_table(artifact_store().open(build(np.ones(MOVIES, bool))) / "items.parquet")
    expected = embedding_matrix(together)[is_new]
    assert np.abs(expected).max() > 0.1
    np.testing.assert_allclose(embedding_matrix(placed), expected, atol=1e-4)

    folder = policy_on(dataset)
    history = tuple(Rated(movie_id=movie, rating=5.0) for movie in (0, 10))
    answer = load(folder, items=out).recommend(Question(history=history, k=MOVIES))
    scores = {item.movie_id: item.score for item in answer.items}
    assert set(REMOVED) <= scores.keys()
    recommender = load(folder)
    action = recommender.policy.act(recommender._histories([recommender._known(history)], recommender.policy))  # type: ignore[attr-defined]
    nearness = torch.cosine_similarity(action, torch.tensor(embedding_matrix(placed)))
    np.testing.assert_allclose([scores[movie] for movie in sorted(REMOVED)], nearness.numpy(), atol=1e-5)
    before = [item.movie_id for item in recommender.recommend(Question(history=history, k=MOVIES)).items]
    assert [item.movie_id for item in answer.items if item.movie_id not in REMOVED] == before
    served = Served(str(folder), "policy@mine", items=out)
    served.refresh()
    assert served.current is not None
    rated = served.current.recommend(Question(history=(Rated(movie_id=REMOVED[0], rating=4.0),), k=5))
    assert rated.unknown_ids == ()
    assert rated.items[0].because[0].movie_id == REMOVED[0]


def test_what_cannot_be_embedded_leaves_nothing_behind(tmp_path: Path, movies: pa.Table, build: Any) -> None:
    dataset = dataset_of(build(~np.isin(movies["movie_id"].to_numpy(), REMOVED)))
    folder, out = artifact_store().open(dataset), tmp_path / "new.parquet"
    assert dataset_folder("latest", artifact_store()) == dataset_folder(str(folder), artifact_store()) == folder
    with pytest.raises(DatasetError, match=rf"that dataset/{dataset.digest} does not have; found 1 .*such as \[10\]"):
        embed_items(written(tmp_path / "new.csv", movies, (570, 10)), folder, out)
    path = written(tmp_path / "new.csv", movies, REMOVED)
    with pytest.raises(ArtifactError, match="expected a dataset; found policy"):
        embed_items(path, policy_on(dataset), out)

    def changed(name: str, value: Any) -> Path:
        def fill(draft: Draft) -> None:
            shutil.copy(folder / "items.parquet", draft.path)
            if value is not None:
                (draft.path / name).write_bytes(value)

        return artifact_store().open(artifact("dataset", fill))

    with pytest.raises(DatasetError, match="built by an earlier version"):
        embed_items(path, changed(FEATURES, None), out)
    with pytest.raises(DatasetError, match="expected fitted features; found"):
        embed_items(path, changed(FEATURES, b"x" * 99), out)
    other = (folder / FEATURES).read_bytes().replace(find_encoder(TEXT.encoder).identity().encode(), b"0" * 64)
    unknown = (folder / FEATURES).read_bytes().replace(b"max_tokens", b"most_words")
    with pytest.raises(EncoderError, match="expected the parameters of a text encoder"):
        embed_items(path, changed(FEATURES, unknown), out)
    with pytest.raises(EncoderError, match=r"expected the weights that the dataset was built with, 0{64}; found"):
        embed_items(path, changed(FEATURES, other), out)
    assert not out.exists()


def test_new_items_of_another_dataset_are_not_recommended(tmp_path: Path, movies: pa.Table, build: Any) -> None:
    one, other = (dataset_of(build(~np.isin(movies["movie_id"].to_numpy(), REMOVED))) for _ in range(2))
    out = tmp_path / "new.parquet"
    embed_items(written(tmp_path / "new.csv", movies, REMOVED), artifact_store().open(one), out)
    with pytest.raises(
        ArtifactError, match=rf"expected items embedded for dataset/{other.digest}.*found dataset/{one.digest}"
    ):
        load(policy_on(other), items=out)
    pq.write_table(pq.read_table(out).replace_schema_metadata(None), out)
    with pytest.raises(ArtifactError, match="found no dataset"):
        load(policy_on(one), items=out)
    out.write_bytes(b"x")
    with pytest.raises(DatasetError, match="expected a table of items"):
        load(policy_on(one), items=out)
