"""Which policy the aliases `latest` and those of the learners name after a report is published."""

from pathlib import Path

import pytest
from small_artifacts_support import making

import tasks.publish
from storage.artifacts.aliases import read_alias
from storage.artifacts.object_stores import open_store
from storage.artifacts.publishing import publish
from storage.artifacts.store import ArtifactRef
from tasks.caching import artifact_store
from tasks.publish import move_aliases


@pytest.fixture(autouse=True)
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Where artifacts are published; there is no Prefect server here that could show it."""
    monkeypatch.setattr(tasks.publish, "show_text", lambda *_: None)
    return str(tmp_path / "published")


def make(kind: str, name: str, to: str, **facts: float) -> ArtifactRef:
    with making(kind, {"name": name}) as draft:
        (draft.path / "file").write_text(name)
        draft.facts |= facts
    publish(open_store(to), artifact_store(), draft.committed)
    return draft.committed


def named(to: str, alias: str) -> str | None:
    found = read_alias(open_store(to), "policy", alias)
    return found[0].digest if found else None


def test_each_alias_names_its_policy_and_latest_the_best(published: str) -> None:
    good, bad = (make("policy", str(score), published, **{"validation_ndcg@10": score}) for score in (0.3, 0.2))
    data, report = make("dataset", "one", published), make("report", "one", published)
    move_aliases.fn(data, {"td3_bc": bad, "td3": good}, report, published)
    assert named(published, "latest") == named(published, "td3") == good.digest
    assert named(published, "td3_bc") == bad.digest
    assert named(published, "champion") is None, "tasks/promote.py decides about it"
