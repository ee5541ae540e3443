"""An item index published with the best policy: an error holds back no alias, and the example of the docs runs."""

import os
import subprocess
import sys
from pathlib import Path

from tests_support import Marquee, SmallRun, changes

from storage.artifacts.aliases import present_alias
from storage.artifacts.object_stores import open_store

ROOT = Path(__file__).parents[2]


def test_an_index_is_published_last_and_is_searched_as_the_docs_say(
    small_run: SmallRun, small_home: Path, marquee: Marquee, tmp_path: Path
) -> None:
    store = open_store(str(tmp_path / "published"))
    index = "{{engine: faiss, factory: {}}}"
    failed = marquee("publish", "--to", store.uri, *changes(publish__index=index.format("NoSuchKind")), ok=False)
    assert "expected a name of FAISS's index_factory" in failed.stderr
    for kind, name in (("policy", "latest"), ("policy", "champion"), ("report", "latest")):
        assert present_alias(store, kind, name) is not None

    marquee("publish", "--to", store.uri, *changes(publish__index=index.format("HNSW8")))
    for spec in ("item-index@latest", "policy@latest"):
        marquee("pull", spec, "--from", store.uri, "--to", str(tmp_path / "pulled"))
    text = (ROOT / "docs/serving.md").read_text()
    example = next(part.split("```")[0] for part in text.split("```python\n") if "query_vectors" in part)
    done = subprocess.run(
        [sys.executable, "-c", example + "print(found.items.shape)"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "torch.Size([1, 20])" in done.stdout
