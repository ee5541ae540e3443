"""A published policy in a work directory of the test's own."""

from pathlib import Path

import pytest
from unit.serving.serving_support import make_policy, publish_policy


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("MARQUEE_HOME", str(tmp_path / "home"))
    publish_policy(tmp_path / "maker", make_policy(tmp_path / "maker"), str(tmp_path / "home" / "published"))
    return str(tmp_path / "home" / "published")
