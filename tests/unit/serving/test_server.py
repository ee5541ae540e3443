"""What the process of `marquee serve` holds when it begins to answer."""

import os
import subprocess
import sys
from pathlib import Path

from tests_support import REPOSITORY
from unit.serving.serving_support import make_policy

ANSWERING = """
import gc, sys, psutil, uvicorn

def freed():
    bytearray(16 << 20)  # whose end would raise glibc's threshold
    large, above = bytearray(16 << 20), bytearray(1 << 20)
    before = psutil.Process().memory_info().rss
    del large
    return before - psutil.Process().memory_info().rss >> 20

def told(server):
    print(gc.get_freeze_count(), len(gc.get_objects()), freed(), sorted({"h5py", "pandas"} & sys.modules.keys()))

uvicorn.Server.run = told
from serving.server import serve
serve(sys.argv[1], ["policy@champion"])
"""


def test_a_server_loads_no_needless_library_gives_memory_back_and_is_not_stopped_by_garbage_collection(
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
    frozen, collectable, freed, loaded = done.stdout.split(maxsplit=3)
    assert int(frozen) > 10 * int(collectable)
    assert int(freed) >= 15
    assert loaded.strip() == "[]"
