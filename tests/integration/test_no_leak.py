"""Nothing that held-out users did or came after the time cut shapes the items, save the genome; no item outside training does."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from storage.artifacts.manifest import Recipe
from storage.artifacts.store import ArtifactRef
from storage.dataset.splits import train_until
from storage.errors import DatasetError
from storage.tables import EVENTS_SCHEMA, MOVIES_SCHEMA, TAGS_SCHEMA, embedding_matrix
from tasks.caching import artifact_store
from tasks.features import BlockWeights, FeatureParams, make_items

USERS, MOVIES, CUT = 30, 60, 1_000_000
PARAMS = FeatureParams(dim=8)


def events_table(rng: np.random.Generator) -> pa.Table:
    """Ratings of all but the last four movies, a third of them after the cut."""
    rows = [
        (user, 10 * int(movie), rng.integers(1, 11) / 2, int(rng.integers(0, 3 * CUT // 2)))
        for user in range(USERS)
        for movie in rng.choice(MOVIES - 4, 20, replace=False)
    ]
    user, movie, rating, timestamp = zip(*rows, strict=True)
    return pa.table(
        {"user_id": user, "movie_id": movie, "rating": np.array(rating, np.float32), "timestamp": timestamp},
        schema=EVENTS_SCHEMA,
    )


def tags_table(rng: np.random.Generator) -> pa.Table:
    words = ["dark", "Funny", "slow", "based on a book", "twist"]
    rows = [
        (
            int(rng.integers(USERS + 5)),
            10 * int(rng.integers(MOVIES)),
            words[rng.integers(5)],
            int(rng.integers(2 * CUT)),
        )
        for _ in range(400)
    ]
    return pa.Table.from_pylist([dict(zip(TAGS_SCHEMA.names, row, strict=True)) for row in rows], schema=TAGS_SCHEMA)


def movies_table(rng: np.random.Generator, movies: int = MOVIES) -> pa.Table:
    def some(*terms: str) -> list[str]:
        return [term for term in terms if rng.random() < 0.5]

    rows = [
        {name: [] if pa.types.is_list(MOVIES_SCHEMA.field(name).type) else None for name in MOVIES_SCHEMA.names}
        | {
            "movie_id": 10 * place, "external_id": str(10 * place), "title": f"Film {place}", "has_metadata": True,
            "year": int(rng.integers(1930, 2015)), "genres": some("Drama", "War", "Comedy"), "countries": some("France", "Italy"),
            "languages": some("French"), "cast": some("A", "B", "C"), "keywords": some("heist", "love"),
            "overview": " ".join(some("captain", "ship", "storm", "island", "letter")), "original_language": "fr",
            "runtime_minutes": float(rng.integers(60, 200)), "budget_usd": float(rng.integers(0, 3)) * 1e6,
            "awards": "Won 3 Oscars. Another 2 wins & 1 nomination." if rng.random() < 0.3 else None,
        }
        for place in range(movies)
    ]  # fmt: skip
    return pa.Table.from_pylist(rows, schema=MOVIES_SCHEMA)


UNTIL = train_until(np.tile(np.array([0, 0, 0, 1, 2], np.uint8), USERS // 5), CUT)


@pytest.fixture
def build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., ArtifactRef]:
    """The items artifact of given tables, made by the task's own function from real artifacts."""
    monkeypatch.setenv("MARQUEE_HOME", str(tmp_path))
    made = 0

    def put(kind: str, fill: Callable[[Path], None]) -> ArtifactRef:
        nonlocal made
        made += 1
        with artifact_store().create(
            Recipe(kind=kind, schema_version=1, parameters={"n": made}, inputs={}, code=""), []
        ) as draft:
            fill(draft.path)
        return draft.committed

    def write_tags(folder: Path, tags: pa.Table, genome: np.ndarray | None) -> None:
        pq.write_table(tags, folder / "tags.parquet")
        if genome is not None:
            np.save(folder / "genome.npy", genome)
            np.save(folder / "genome_movies.npy", 10 * np.arange(len(genome)))
            (folder / "genome_tags.json").write_text(json.dumps([f"tag {n}" for n in range(genome.shape[1])]))

    def write_splits(folder: Path) -> None:
        pq.write_table(pa.table({"user_id": np.arange(USERS), "train_until": UNTIL}), folder / "users.parquet")

    def call(
        events: pa.Table,
        tags: pa.Table,
        movies: pa.Table,
        params: FeatureParams = PARAMS,
        base: ArtifactRef | None = None,
        genome: np.ndarray | None = None,
    ) -> ArtifactRef:
        text = (
            np.random.default_rng(1)
            .normal(size=(2 * MOVIES, 12))
            .astype(np.float32)[movies["movie_id"].to_numpy() // 10]
        )
        inputs = {
            "movies": put("movies", lambda folder: pq.write_table(movies, folder / "movies.parquet")),
            "events": put(
                "events", lambda folder: pq.write_table(events, folder / "events.parquet", row_group_size=100)
            ),
            "splits": put("splits", write_splits),
            "texts": put("texts", lambda folder: np.save(folder / "texts.npy", text)),
            "tags": put("tags", lambda folder: write_tags(folder, tags, genome)),
        }
        nonlocal made
        made += 1
        recipe = Recipe(kind="items", schema_version=1, parameters={"n": made}, inputs={}, code="")
        with artifact_store().create(recipe, []) as draft:
            make_items.__wrapped__(draft, params=params, base=base, **inputs)  # type: ignore[attr-defined]
        return draft.committed

    return call


def items_bytes(ref: ArtifactRef) -> bytes:
    return (artifact_store().open(ref) / "items.parquet").read_bytes()


def embedding(ref: ArtifactRef) -> np.ndarray:
    return embedding_matrix(pq.read_table(artifact_store().open(ref) / "items.parquet"))


def of_training(table: pa.Table) -> np.ndarray:
    user = table["user_id"].to_numpy()
    known = user < USERS
    return known & (table["timestamp"].to_numpy() <= UNTIL[np.minimum(user, USERS - 1)])


@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32 - 1), share=st.sampled_from([0.0, 0.5, 1.0]))
def test_held_out_events_and_tags_do_not_show(build: Callable[..., ArtifactRef], seed: int, share: float) -> None:
    """What is held out is changed, or (share < 1) partly or wholly removed: the items stay the same to the last byte."""
    rng = np.random.default_rng(0)
    events, tags, movies = events_table(rng), tags_table(rng), movies_table(rng)
    noise = np.random.default_rng(seed)

    def disturbed(table: pa.Table, column: str, values: pa.Array) -> pa.Table:
        training = of_training(table)
        assert 0 < training.sum() < len(training)
        new = pa.compute.if_else(pa.array(training), table[column], values.cast(table[column].type))
        movie = np.where(training, table["movie_id"].to_numpy(), 10 * noise.integers(0, MOVIES, len(training)))
        table = table.set_column(table.schema.get_field_index(column), column, new)
        table = table.set_column(1, "movie_id", pa.array(movie))
        return table.filter(pa.array(training | (noise.random(len(training)) < share)))

    before = build(events, tags, movies)
    other_events = disturbed(events, "rating", pa.array(noise.integers(1, 11, events.num_rows) / 2))
    other_tags = disturbed(tags, "tag", pa.array([f"held out {word}" for word in noise.integers(0, 9, tags.num_rows)]))
    assert items_bytes(build(other_events, other_tags, movies)) == items_bytes(before)


def test_training_events_and_tags_do_show(build: Callable[..., ArtifactRef]) -> None:
    rng = np.random.default_rng(0)
    events, tags, movies = events_table(rng), tags_table(rng), movies_table(rng)
    before = items_bytes(build(events, tags, movies))
    first_event, first_tag = of_training(events).argmax(), of_training(tags).argmax()
    fewer_events = pa.concat_tables([events.slice(0, first_event), events.slice(first_event + 1)])
    fewer_tags = pa.concat_tables([tags.slice(0, first_tag), tags.slice(first_tag + 1)])
    assert items_bytes(build(fewer_events, tags, movies)) != before
    assert items_bytes(build(events, fewer_tags, movies)) != before


def test_an_item_without_training_events_shapes_no_other(build: Callable[..., ArtifactRef]) -> None:
    rng = np.random.default_rng(0)
    events, tags, movies = events_table(rng), tags_table(rng), movies_table(rng)
    rows = movies.to_pylist()
    rows[-1] |= {"genres": ["New Genre"], "cast": ["Nobody"], "overview": "unheard of words", "budget_usd": 1e11}
    before = embedding(build(events, tags, movies))
    after = embedding(build(events, tags, pa.Table.from_pylist(rows, schema=MOVIES_SCHEMA)))
    np.testing.assert_array_equal(after[:-1], before[:-1])
    assert not np.array_equal(after[-1], before[-1])


def test_new_movies_leave_old_rows_as_they_are(build: Callable[..., ArtifactRef]) -> None:
    rng = np.random.default_rng(0)
    events, tags = events_table(rng), tags_table(rng)
    more = movies_table(rng, MOVIES + 7)
    keep = np.ones(MOVIES + 7, dtype=bool)
    keep[[3, 20, *range(MOVIES + 2, MOVIES + 7)]] = False  # between the old ones and after them
    old = more.filter(pa.array(keep))
    events = events.filter(pa.compute.is_in(events["movie_id"], old["movie_id"]))
    base = build(events, tags, old)
    extended = embedding(build(events, tags, more, base=base))
    np.testing.assert_array_equal(extended[keep], embedding(base))
    # The new rows are what a build that knew them from the start makes of them.
    assert (np.linalg.norm(extended[~keep], axis=1) > 0.1).all()
    np.testing.assert_allclose(extended, embedding(build(events, tags, more)), atol=1e-4)
    with pytest.raises(DatasetError, match="expected 60 movies"):
        build(events, tags, more.slice(5), base=base)
    with pytest.raises(DatasetError, match="8 dimensions"):
        build(events, tags, more, params=FeatureParams(dim=9), base=base)


def test_the_genome_is_used_with_a_note_and_left_unread_at_weight_0(build: Callable[..., ArtifactRef]) -> None:
    """It is of all users: the one block that may show what held-out users did, unless its weight is 0."""
    rng = np.random.default_rng(0)
    tables = events_table(rng), tags_table(rng), movies_table(rng)
    genome = np.random.default_rng(1).random((MOVIES - 5, 7), dtype=np.float32)
    store = artifact_store()
    strict = FeatureParams(dim=8, weights=BlockWeights(genome=0))
    without, used, left_out = build(*tables), build(*tables, genome=genome), build(*tables, strict, genome=genome)
    assert items_bytes(used) != items_bytes(without)
    assert items_bytes(left_out) == items_bytes(without)
    block = store.manifest(used).facts["blocks"]["genome"]
    assert (block["width"], block["known_items"]) == (7, MOVIES - 5)
    notes = {ref: " ".join(store.manifest(ref).licences) for ref in (used, without, left_out)}
    assert [("all users" in note, "genome=0" in note) for note in notes.values()] == [
        (True, True),
        *[(False, False)] * 2,
    ]
    # What is left out need not even be readable.
    unreadable = np.zeros((3, 1), dtype=object)
    unreadable[:] = "nothing"
    assert items_bytes(build(*tables, strict, genome=unreadable)) == items_bytes(without)
    with pytest.raises(ValueError, match="allow_pickle"):
        build(*tables, genome=unreadable)


def test_numbers_of_every_block(build: Callable[..., ArtifactRef]) -> None:
    rng = np.random.default_rng(0)
    params = FeatureParams(dim=8, weights=BlockWeights(people=0))
    ref = build(events_table(rng), tags_table(rng), movies_table(rng), params)
    facts = artifact_store().manifest(ref).facts
    assert list(facts["blocks"]) == list(BlockWeights.model_fields)
    assert facts["blocks"]["people"]["skipped"] == "weight 0"
    assert facts["blocks"]["companies"]["skipped"] == "not in the source"
    assert "GroupLens" in facts["blocks"]["genome"]["note"]
    assert "features.weights.genome=0" in facts["blocks"]["genome"]["note"]
    there = [block for block in facts["blocks"].values() if "skipped" not in block]
    assert np.isclose(sum(block["variance_share"] for block in there), 1, atol=1e-4)
    kept = sum(block["variance_share"] * block["kept_share"] for block in there)
    assert np.isclose(kept, facts["explained_variance"], atol=1e-4)
    assert all(block["known_items"] > 0 for block in there)
    written = json.loads((artifact_store().open(ref) / "features.json").read_text())
    assert written["blocks"] == facts["blocks"]
    assert written["columns"]["genres"][0][0].startswith("genre: ")
    assert len(written["dimensions"]) == 8
    assert {"share", "positive", "negative"} == written["dimensions"][0].keys()
