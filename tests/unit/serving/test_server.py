"""What the process of `marquee serve` holds when it begins to answer."""

import os
import subprocess
import sys
from pathlib import Path

from tests_support import REPOSITORY
from unit.serving.serving_support import make_policy

ANSWERING = """
import gc, sys, uvicorn
uvicorn.Server.run = lambda server: print(gc.get_freeze_count(), len(gc.get_objects()), sorted({"h5py", "pandas"} & sys.modules.keys()))
from serving.server import serve
serve(sys.argv[1], ["policy@champion"])
"""


def test_a_server_loads_no_table_or_dataset_library_and_keeps_what_it_has_from_the_garbage_collector(
    tmp_path: Path,
) -> None:
    ref = make_policy(tmp_path, "ranking")
    done = subprocess.run(
        [sys.executable, "-c", ANSWERING, str(tmp_path / "artifacts" / "policy" / ref.digest)],
        env=os.environ | {"MARQUEE_HOME": str(tmp_path / "home"), "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=True,
        timeout=600,
    )
    frozen, collectable, loaded = done.stdout.split(maxsplit=2)
    assert int(frozen) > 10 * int(collectable)
    assert loaded.strip() == "[]"
