"""The API keeps to its OpenAPI document: Schemathesis calls it as the document allows, and as it forbids."""

import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from unit.serving.api_support import running
from unit.serving.serving_support import make_policy, publish_policy

from serving.api import create_app
from serving.asking import Question
from serving.served import Served, ServedPolicies


@pytest.fixture
def policies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ServedPolicies:
    monkeypatch.setenv("MARQUEE_HOME", str(tmp_path / "reader"))
    publish_policy(tmp_path / "maker", make_policy(tmp_path / "maker"), str(tmp_path / "published"))
    found = ServedPolicies([Served(str(tmp_path / "published"), "policy@champion")])
    found.start()
    found.stop()
    return found


def test_every_answer_is_one_that_the_document_describes(policies: ServedPolicies, tmp_path: Path) -> None:
    with running(create_app(policies)) as url:
        document = httpx.get(f"{url}/openapi.json").json()
        examples = document["components"]["schemas"]["Question"]["examples"]
        assert [httpx.post(f"{url}/recommend", json=one).status_code for one in examples] == [200] * len(examples)
        assert [Question.model_validate(one) for one in examples]
        command = [
            str(Path(sys.executable).with_name("schemathesis")), "run", f"{url}/openapi.json",
            "--checks", "all",
            # A rating may be on no scale, and a method may be unknown: that is refused, and no schema can say so.
            "--exclude-checks", "positive_data_acceptance",
            "--max-examples", "15", "--seed", "0", "--generation-deterministic", "--no-color",
        ]  # fmt: skip
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=600)
        assert done.returncode == 0, done.stdout[-6000:]
