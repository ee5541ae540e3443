"""Processes that pull, publish and move aliases at the same time, in one folder."""

import os
import signal
from pathlib import Path

import pytest
from processes_support import MOVER, WAIT_SECONDS, hear, moves, start, tell
from unit.storage.artifacts.publishing_support import make

from storage.artifacts.aliases import read_alias
from storage.artifacts.object_stores.folder import LocalFolder
from storage.artifacts.publishing import publish, pull
from storage.artifacts.store import ArtifactStore

ROUNDS = 15

# Reads from its standard input which folder comes next, so that all processes begin a round at the same moment.
PULLER = """
import sys, time
from pathlib import Path
from storage.artifacts.object_stores.folder import LocalFolder
from storage.artifacts.publishing import pull
from storage.artifacts.store import ArtifactStore

class Slow(LocalFolder):
    def download(self, key, path, size):
        if size > 100:  # in two halves, so that others come between
            whole = (self.root / key).read_bytes()
            have = path.stat().st_size if path.exists() else 0
            with path.open("ab") as target:
                target.write(whole[have:size // 2])
            print("half", flush=True)
            time.sleep(float(sys.argv[3]))
        super().download(key, path, size)

print("ready", flush=True)
for line in sys.stdin:
    to = Path(line.strip())
    ref = pull(Slow(Path(sys.argv[1])), sys.argv[2], to)
    whole = ArtifactStore(to, origin=ref.origin).find(ref.kind, ref.digest) == ref
    written = (to / ref.kind / ref.digest / "a.bin").stat().st_mtime_ns
    print("whole" if whole else "damaged", written, flush=True)
"""


def test_processes_that_pull_into_one_folder_all_end_with_the_whole_artifact(tmp_path: Path) -> None:
    artifacts, ref = make(tmp_path / "home")
    publish(LocalFolder(tmp_path / "published"), artifacts, ref)
    pullers = [start(PULLER, tmp_path / "published", f"policy@{ref.digest}", 0.002) for _ in range(3)]
    assert [hear(puller) for puller in pullers] == ["ready"] * 3
    for number in range(ROUNDS):
        to = tmp_path / f"pulled-{number}"
        for puller in pullers:
            tell(puller, to)
        found = [hear(puller, skip="half") for puller in pullers]
        assert found[0].startswith("whole")
        assert found == [found[0]] * 3, "a whole artifact was replaced"
        assert [path.name for path in (to / "policy").iterdir()] == [ref.digest], "no lock and no partial is left"
        assert ArtifactStore(to).find("policy", ref.digest) == ref.model_copy(
            update={"uri": ArtifactStore(to).folder("policy", ref.digest).as_uri()}
        )
    for puller in pullers:
        puller.communicate(timeout=WAIT_SECONDS)
        assert puller.returncode == 0


def test_a_killed_pull_holds_up_nobody_and_its_bytes_are_used(tmp_path: Path) -> None:
    artifacts, ref = make(tmp_path / "home")
    publish(LocalFolder(tmp_path / "published"), artifacts, ref)
    to = tmp_path / "pulled"
    killed = start(PULLER, tmp_path / "published", f"policy@{ref.digest}", 1000)
    assert hear(killed) == "ready"
    tell(killed, to)
    assert hear(killed) == "half"
    waiting = start(PULLER, tmp_path / "published", f"policy@{ref.digest}", 0)
    assert hear(waiting) == "ready"
    tell(waiting, to)
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait()
    assert hear(waiting, skip="half").startswith("whole")
    waiting.communicate(timeout=WAIT_SECONDS)
    assert [path.name for path in (to / "policy").iterdir()] == [ref.digest]
    assert pull(LocalFolder(tmp_path / "published"), f"policy@{ref.digest}", to).sha256 == ref.sha256


def test_a_pull_goes_on_from_the_bytes_that_a_killed_one_has_received(tmp_path: Path) -> None:
    artifacts, ref = make(tmp_path / "home")
    publish(LocalFolder(tmp_path / "published"), artifacts, ref)
    killed = start(PULLER, tmp_path / "published", f"policy@{ref.digest}", 1000)
    assert hear(killed) == "ready"
    tell(killed, tmp_path / "pulled")
    assert hear(killed) == "half"
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait()
    received: list[int] = []

    class Watched(LocalFolder):
        def download(self, key: str, path: Path, size: int) -> None:
            received.append(path.stat().st_size if path.exists() else 0)
            super().download(key, path, size)

    pull(Watched(tmp_path / "published"), f"policy@{ref.digest}", tmp_path / "pulled")
    assert received[0] == 3500


def test_no_move_of_an_alias_is_lost_between_processes(tmp_path: Path) -> None:
    """Each move says what the alias named before; one after the other, they must lead from the last to the first."""
    store = LocalFolder(tmp_path / "published")
    refs = []
    for seed in range(30):
        artifacts, ref = make(tmp_path / "home", seed=seed, text="w")
        publish(store, artifacts, ref)
        refs.append(ref)
    movers = [start(MOVER, store.root, *(ref.model_dump_json() for ref in refs[place::3])) for place in range(3)]
    before = moves(movers)
    alias = read_alias(store, "policy", "latest")
    assert alias is not None
    chain = [alias[0].digest]
    while (earlier := before[chain[-1]]) != "None":
        assert earlier not in chain
        chain.append(earlier)
    assert len(chain) == len(refs), "two moves replaced the same state: one was lost"


@pytest.mark.parametrize("rounds", [5])
def test_processes_that_publish_the_same_artifact_agree(tmp_path: Path, rounds: int) -> None:
    script = """
import sys
from pathlib import Path
from storage.artifacts.object_stores.folder import LocalFolder
from storage.artifacts.publishing import publish
from storage.artifacts.store import ArtifactStore
artifacts = ArtifactStore(Path(sys.argv[1]))
ref = artifacts.select("policy")
print("ready", flush=True)
for line in sys.stdin:
    print(publish(LocalFolder(Path(line.strip())), artifacts, ref), flush=True)
"""
    _, ref = make(tmp_path / "home")
    publishers = [start(script, tmp_path / "home") for _ in range(3)]
    assert [hear(publisher) for publisher in publishers] == ["ready"] * 3
    for number in range(rounds):
        for publisher in publishers:
            tell(publisher, tmp_path / f"published-{number}")
        assert sorted(hear(publisher) for publisher in publishers) == ["False", "False", "True"]
        store = LocalFolder(tmp_path / f"published-{number}")
        assert pull(store, f"policy@{ref.digest}", tmp_path / f"pulled-{number}").sha256 == ref.sha256
    for publisher in publishers:
        publisher.communicate(timeout=WAIT_SECONDS)
