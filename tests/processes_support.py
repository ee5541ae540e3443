"""Processes that begin something at the same moment: they print that they are ready, and wait to be told."""

import subprocess
import sys

WAIT_SECONDS = 120

MOVER = """
import sys
from storage.artifacts.aliases import move_alias
from storage.artifacts.object_stores import open_store
from storage.artifacts.store import ArtifactRef
store = open_store(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
for text in sys.argv[2:]:
    alias = move_alias(store, ArtifactRef.model_validate_json(text), "latest", {})
    print(alias.digest, alias.previous, flush=True)
"""


def start(script: str, *arguments: object) -> subprocess.Popen[str]:
    """A process that runs a script, which prints that it is ready and waits for lines on its standard input."""
    command = [sys.executable, "-c", script, *map(str, arguments)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def tell(process: subprocess.Popen[str], line: object) -> None:
    assert process.stdin is not None
    process.stdin.write(f"{line}\n")
    process.stdin.flush()


def hear(process: subprocess.Popen[str], *, skip: str = "") -> str:
    """The next line that the process prints, without those that are to be skipped; "" if it has ended."""
    assert process.stdout is not None
    while (line := process.stdout.readline().strip()) == skip and skip:
        pass
    return line


def moves(movers: list[subprocess.Popen[str]]) -> dict[str, str]:
    """What movers of distinct artifacts have printed: for each digest the one that the alias named before."""
    assert [hear(mover) for mover in movers] == ["ready"] * len(movers)
    for mover in movers:
        tell(mover, "go")
    printed = [mover.communicate(timeout=WAIT_SECONDS)[0].split() for mover in movers]
    assert [mover.returncode for mover in movers] == [0] * len(movers)
    return {digest: before for words in printed for digest, before in zip(words[::2], words[1::2], strict=True)}
