"""A recommender comes from a published policy or from the folder of one, whole or not at all."""

from pathlib import Path

import pytest
from unit.serving.serving_support import make_policy, publish_policy

import marquee
from models.errors import PolicyError
from serving.loading import load
from storage.artifacts.store import ArtifactStore
from storage.errors import ArtifactDamagedError, ArtifactError, DatasetError, ObjectStoreError, UnknownAliasError


def test_marquee_load_takes_a_place_or_a_folder(published: str, tmp_path: Path) -> None:
    question = marquee.Question(history=(marquee.Rated(movie_id=12, rating=5.0),))
    of_place = marquee.load(published)
    folder = next((tmp_path / "reader" / "foreign").glob("*/policy/*"))
    of_folder = marquee.load(folder)
    assert of_place.recommend(question).items == of_folder.recommend(question).items
    assert of_place.name == "policy@champion"
    assert of_folder.digest == of_place.digest == folder.name


def test_what_is_no_policy_is_refused(
    published: str, tmp_path: Path, nobody: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UnknownAliasError, match="Aliases: champion"):
        load(published, "policy@none")
    with pytest.raises(ArtifactError, match=r"dataset@latest: expected policy@<alias or digest>.*found 'dataset'"):
        load(published, "dataset@latest")
    with pytest.raises(UnknownAliasError):
        load(tmp_path / "nothing")
    for name, value in (
        ("ENDPOINT_URL", nobody),
        ("ACCESS_KEY_ID", "x"),
        ("SECRET_ACCESS_KEY", "x"),
        ("MAX_ATTEMPTS", "1"),
    ):
        monkeypatch.setenv(f"AWS_{name}", value)
    with pytest.raises(ObjectStoreError):
        load("s3://bucket/prefix")


def changed(folder: Path, name: str, content: bytes | None) -> None:
    if content is None:
        (folder / name).unlink()
    else:
        (folder / name).write_bytes(content)


@pytest.mark.parametrize(
    ("name", "content", "error", "message"),
    [
        ("ratings.json", None, PolicyError, "trained by an earlier version"),
        ("ratings.json", b'{"format": "marquee-ratings/9"}', PolicyError, "expected the scale of the ratings; found"),
        ("ratings.json", b"{" * 9, PolicyError, "expected the scale of the ratings; found"),
        ("ratings.json", b" " * 70_000, PolicyError, "70,000 bytes"),
        ("items.parquet", b"x", DatasetError, "expected a whole Parquet table"),
        ("policy.safetensors", b"x", PolicyError, "expected the weights of a policy"),
    ],
)
def test_an_invalid_policy_is_refused(
    tmp_path: Path, published: str, name: str, content: bytes | None, error: type[Exception], message: str
) -> None:
    ref = make_policy(tmp_path / "maker", seed=1, spoil=lambda folder: changed(folder, name, content))
    publish_policy(tmp_path / "maker", ref, published)
    with pytest.raises(error, match=message):
        load(published)


def test_a_damaged_folder_is_refused(tmp_path: Path) -> None:
    ref = make_policy(tmp_path)
    folder = ArtifactStore(tmp_path / "artifacts").folder_of(ref)
    weights = folder / "policy.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x01")
    with pytest.raises(ArtifactDamagedError, match="expected SHA-256"):
        load(folder)
    with pytest.raises(ArtifactError, match="expected a place where a dataset is published"):
        load(folder, baselines=["ease"])


def test_titles_of_strangers_reach_no_terminal(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    def spoil(folder: Path) -> None:
        table = pq.read_table(folder / "items.parquet")
        titles = ["\x1b[2J evil", None, *table["title"].to_pylist()[2:]]
        place = table.schema.get_field_index("title")
        pq.write_table(table.set_column(place, "title", pa.array(titles)), folder / "items.parquet")

    ref = make_policy(tmp_path, spoil=spoil)
    catalogue = load(ArtifactStore(tmp_path / "artifacts").folder_of(ref)).catalogue
    assert catalogue.titles[:2] == (" [2J evil", "item 11")
    assert catalogue.with_year(2) == "Heat (1995)"
    assert catalogue.titles[6] == "Unknown year"
