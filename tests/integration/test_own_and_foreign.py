"""The store of own artifacts is the truth: neither Prefect's records nor what strangers publish are taken for it."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from prefect.settings import PREFECT_LOCAL_STORAGE_PATH, temporary_settings

from storage.artifacts.aliases import move_alias, read_alias
from storage.artifacts.manifest import Recipe
from storage.artifacts.object_stores import open_store
from storage.artifacts.publishing import publish
from storage.artifacts.store import ArtifactRef, ArtifactStore, Draft
from storage.errors import ArtifactConflictError
from tasks.caching import artifact_store, artifact_task
from tasks.policies import find_champion
from tasks.publish import publish_artifact


@artifact_task("policy")
def train(draft: Draft, seed: int) -> None:
    """Stand in for a training."""
    (draft.path / "policy.safetensors").write_text(f"weights of seed {seed}")
    write_rest(draft)


def write_rest(draft: Draft) -> None:
    """What else a policy needs to be compared."""
    (draft.path / "config.json").write_text('{"format": "marquee-policy/3"}')
    pq.write_table(pa.table({"movie_id": [1, 2, 3]}), draft.path / "items.parquet")


@artifact_task("dataset")
def build(draft: Draft) -> None:
    """Stand in for a dataset."""
    write_rest(draft)


def weights(ref: ArtifactRef) -> str:
    return (artifact_store().open(ref) / "policy.safetensors").read_text()


@pytest.mark.usefixtures("prefect_here")
def test_damaged_records_of_prefect_change_nothing(tmp_path: Path) -> None:
    with temporary_settings({PREFECT_LOCAL_STORAGE_PATH: tmp_path / "records"}):
        first = train(1)
        for digit in "0f":
            for record in (path for path in (tmp_path / "records").rglob("*") if path.is_file()):
                record.write_text(record.read_text().replace(first.sha256, digit + first.sha256[1:]))
            assert train(1) == first
            assert weights(train(1)) == "weights of seed 1"


@pytest.mark.usefixtures("prefect_here")
def test_a_strangers_artifact_is_not_taken_for_an_own_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = train(1)
    recipe = artifact_store().manifest(own).recipe
    published = publish_poison(tmp_path, recipe)
    monkeypatch.setenv("MARQUEE_HOME", str(tmp_path / "new home"))  # nothing is trained here yet
    champion = find_champion(published, build(), must_be=True)  # these weights are none that could be compared
    assert champion is not None
    assert (champion.digest, champion.origin) == (own.digest, published)
    assert weights(champion) == "poison"
    trained = train(1)
    assert (trained.digest, trained.sha256) == (own.digest, own.sha256)
    assert weights(trained) == "weights of seed 1"
    with pytest.raises(ArtifactConflictError, match="published with other content"):
        publish_artifact(trained, published)
    alias = read_alias(open_store(published), "policy", "champion")
    assert alias is not None
    assert alias[0].sha256 == champion.sha256


def publish_poison(folder: Path, recipe: Recipe) -> str:
    """Publish other weights under the digest of a training, as champion."""
    theirs, store = ArtifactStore(folder / "their home"), open_store(str(folder / "published"))
    with theirs.create(recipe) as draft:
        (draft.path / "policy.safetensors").write_text("poison")
        write_rest(draft)
    publish(store, theirs, draft.committed)
    move_alias(store, draft.committed, "champion", {})
    return store.uri
