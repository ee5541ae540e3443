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
from items_tables_support import MOVIES, UNTIL, USERS, build_items, events_table, movies_table, tags_table

from storage.artifacts.store import ArtifactRef
from storage.tables import MOVIES_SCHEMA, embedding_matrix
from tasks.caching import artifact_store
from tasks.features import BlockWeights, FeatureParams


@pytest.fixture
def build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., ArtifactRef]:
    """The items artifact of given tables, made by the task's own function from real artifacts."""
    monkeypatch.setenv("MARQUEE_HOME", str(tmp_path))
    return build_items


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
    events, tags = (table.filter(pa.compute.is_in(table["movie_id"], old["movie_id"])) for table in (events, tags))
    base = build(events, tags, old)
    extended = embedding(build(events, tags, more, base=base))
    np.testing.assert_array_equal(extended[keep], embedding(base))
    # The new rows are what a build that knew them from the start makes of them, though nothing was fitted again.
    assert (np.linalg.norm(extended[~keep], axis=1) > 0.1).all()
    np.testing.assert_allclose(extended, embedding(build(events, tags, more)), atol=1e-4)


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
