"""Which policy the aliases name after a report is published."""

from pathlib import Path
from typing import Any

import pytest

import tasks.publish
from storage.artifacts.aliases import read_alias
from storage.artifacts.manifest import Recipe
from storage.artifacts.object_stores import open_store
from storage.artifacts.publishing import publish
from storage.artifacts.store import ArtifactRef
from tasks.caching import artifact_store
from tasks.publish import PublishParams, move_aliases

Champion = Any


@pytest.fixture(autouse=True)
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Where artifacts are published; there is no Prefect server here that could show it."""
    monkeypatch.setenv("MARQUEE_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(tasks.publish, "create_markdown_artifact", lambda **_: None)
    return str(tmp_path / "published")


def make(kind: str, name: str, to: str, **facts: float) -> ArtifactRef:
    recipe = Recipe(kind=kind, schema_version=1, parameters={"name": name}, inputs={}, code="")
    with artifact_store().create(recipe) as draft:
        (draft.path / "file").write_text(name)
        draft.facts |= facts
    publish(open_store(to), artifact_store(), draft.committed)
    return draft.committed


def named(to: str, alias: str) -> str | None:
    found = read_alias(open_store(to), "policy", alias)
    return found[0].digest if found else None


@pytest.mark.parametrize(
    ("champion", "dataset", "score", "moves"),
    [
        ("if-better", "one", 0.3, True),
        ("if-better", "one", 0.2, False),
        ("if-better", "one", 0.1, False),
        ("if-better", "two", 0.3, False),  # scores on two datasets cannot be compared
        ("always", "one", 0.1, True),
        ("always", "two", 0.1, True),
        ("never", "one", 0.3, False),
    ],
)
def test_the_champion_moves_when_the_parameters_say_so(
    published: str, champion: Champion, dataset: str, score: float, moves: bool
) -> None:
    def run(name: str, dataset: str, score: float, champion: Champion) -> ArtifactRef:
        policy = make("policy", name, published, **{"validation_ndcg@10": score})
        worse = make("policy", f"{name}, worse", published, **{"validation_ndcg@10": score / 2})
        data, report = make("dataset", dataset, published), make("report", name, published)
        params = PublishParams(to=published, champion=champion)
        move_aliases.fn(data, {"td3_bc": worse, "td3": policy}, report, params)
        assert named(published, "latest") == named(published, "td3") == policy.digest
        assert named(published, "td3_bc") == worse.digest
        return policy

    first = run("first", "one", 0.2, "if-better")
    assert named(published, "champion") == first.digest
    second = run("second", dataset, score, champion)
    assert named(published, "champion") == (second if moves else first).digest


def test_never_moves_no_champion_at_all(published: str) -> None:
    policy = make("policy", "first", published, **{"validation_ndcg@10": 0.2})
    params = PublishParams(to=published, champion="never")
    move_aliases.fn(make("dataset", "one", published), {"td3": policy}, make("report", "one", published), params)
    assert named(published, "latest") == policy.digest
    assert named(published, "champion") is None
