"""A published policy, and a work directory of its reader."""

from pathlib import Path

import pytest
from unit.serving.serving_support import make_policy, publish_policy

from serving.loading import load
from serving.recommend import Recommender


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Where policy@champion is published, as a path."""
    monkeypatch.setenv("MARQUEE_HOME", str(tmp_path / "reader"))
    publish_policy(tmp_path / "maker", make_policy(tmp_path / "maker"), str(tmp_path / "published"))
    return str(tmp_path / "published")


@pytest.fixture
def recommender(published: str) -> Recommender:
    return load(published)
