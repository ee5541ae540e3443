"""Published policies that come back."""

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import save_file
from small_artifacts_support import embedding_column, making, recipe_of

from models.errors import LearnerError
from models.networks import Actor
from models.policy import Policy
from serving.stored_policies import load_policy
from storage.artifacts.aliases import move_alias
from storage.artifacts.object_stores import open_store
from storage.artifacts.publishing import publish
from storage.artifacts.store import ArtifactRef, ArtifactStore
from storage.errors import ArtifactDamagedError, UnknownAliasError
from tasks.caching import artifact_store
from tasks.policies import find_champion

ITEMS = torch.eye(4)


def dataset(movies: list[int]) -> ArtifactRef:
    """A dataset of which only the items are looked at."""
    with making("dataset") as draft:
        pq.write_table(pa.table({"movie_id": movies}), draft.path / "items.parquet")
    return draft.committed


def champion(folder: Path, spoil: Callable[[Path], object] = lambda _: None, **changes: str) -> ArtifactRef:
    """Publish a policy, its config or its files changed, as champion."""
    policy = Policy(Actor(2 * 4 + 2, 4, 8, 1.0), ITEMS, "cosine")
    artifacts = ArtifactStore(folder / "elsewhere")
    with artifacts.create(recipe_of("policy")) as draft:
        save_file(policy.tensors(), draft.path / "policy.safetensors")
        items = {"movie_id": [1, 2, 3, 4], "embedding": embedding_column(ITEMS)}
        pq.write_table(pa.table(items), draft.path / "items.parquet")
        curves = {"step": [1], "split": ["train"], "metric": ["actor_loss"], "value": [0.5]}
        pq.write_table(pa.table(curves), draft.path / "metrics.parquet")
        (draft.path / "config.json").write_text(json.dumps(policy.config() | changes))
        spoil(draft.path)
        draft.facts = {"learner": "td3"}
    published = open_store(str(folder / "published"))
    publish(published, artifacts, draft.committed)
    move_alias(published, draft.committed, "champion", {})
    return draft.committed


def test_a_champion_of_an_earlier_format_stops_nobody(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    place = str(tmp_path / "published")
    data = dataset([4, 5])
    assert find_champion.fn(place, data) is None
    with pytest.raises(UnknownAliasError):
        find_champion.fn(place, data, must_be=True)
    champion(tmp_path, format="marquee-policy/1")
    assert find_champion.fn(place, data) is None
    assert "marquee-policy/1" in caplog.text
    wanted = find_champion.fn(place, data, must_be=True)
    assert wanted is not None
    with pytest.raises(LearnerError, match="expected format"):
        load_policy(artifact_store().open(wanted), ITEMS)


def test_a_champion_is_found_and_loads(tmp_path: Path) -> None:
    made = champion(tmp_path)
    found = find_champion.fn(str(tmp_path / "published"), dataset([4, 5]))
    assert found is not None
    assert found.digest == made.digest
    assert found.origin == (tmp_path / "published").as_uri()
    load_policy(artifact_store().open(found), ITEMS)


def test_a_champion_of_other_items_stops_nobody(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    champion(tmp_path)
    assert find_champion.fn(str(tmp_path / "published"), dataset([7, 8])) is None
    assert "knows none of the items" in caplog.text


@pytest.mark.parametrize("file", ["policy.safetensors", "config.json", "items.parquet", "metrics.parquet"])
def test_a_champion_that_was_published_invalid_stops_nobody(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, file: str
) -> None:
    champion(tmp_path, lambda folder: (folder / file).write_bytes(b"{}"))
    assert find_champion.fn(str(tmp_path / "published"), dataset([4, 5])) is None
    assert f"{file}: expected" in caplog.text


@pytest.mark.parametrize("damaged", ["aliases/policy/champion.json", "manifest.json", "policy.safetensors"])
def test_a_damaged_champion_stops_nobody(tmp_path: Path, caplog: pytest.LogCaptureFixture, damaged: str) -> None:
    made = champion(tmp_path)
    place = tmp_path / "published"
    path = next(path for path in place.rglob("*") if path.as_posix().endswith(damaged))
    path.write_bytes(path.read_bytes()[:-9])
    data = dataset([4, 5])
    assert find_champion.fn(str(place), data) is None
    assert "damaged" in caplog.text
    with pytest.raises(ArtifactDamagedError):
        find_champion.fn(str(place), data, must_be=True)
    publish(open_store(str(place)), ArtifactStore(tmp_path / "elsewhere"), made)
    move_alias(open_store(str(place)), made, "champion", {})
    assert find_champion.fn(str(place), data) is not None
