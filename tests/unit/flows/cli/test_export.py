"""`marquee export` of a dataset that a stranger has made."""

from pathlib import Path

import pytest
from typer.testing import CliRunner
from unit.storage.dataset.hostile_support import Attack, attribute, elsewhere, external_storage, spoilt
from unit.storage.dataset.transitions_support import written

from flows.cli import app


@pytest.mark.parametrize(
    "attack",
    [
        external_storage("items/embedding"),
        *(elsewhere("items/embedding", kind) for kind in ("external", "soft", "virtual")),
        attribute("frame", 0),
    ],
    ids=["external storage", "external link", "soft link", "virtual dataset", "frame 0"],
)
def test_a_hostile_dataset_gives_one_line_and_no_byte_of_another_file(tmp_path: Path, attack: Attack) -> None:
    path = spoilt(written(tmp_path, [8, 9, 30, 5]).path, attack)
    out = tmp_path / "out" / "dense.h5"
    failed = CliRunner().invoke(app, ["export", "--dataset", str(path), "--out", str(out), "--splits", "all"])
    leaked = [found for found in tmp_path.glob("out/*") if b"PRIVATE KEY" in found.read_bytes()]
    assert not leaked
    assert failed.exit_code == 1
    lines = [line for line in failed.output.splitlines() if line.strip()]
    assert lines[-1].startswith("DatasetError: ")
    assert "; found " in lines[-1]
    assert "Traceback" not in failed.output
    assert not out.exists()
