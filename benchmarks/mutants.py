"""Claim: each of these faults, put into the code, makes the test that guards against it fail.

    python benchmarks/mutants.py [word …, default all mutants; else those with such a word in their name]

Every fault (a mutant) replaces one text of one file in a copy of the working tree, in which the named tests then run. A
mutant is killed if a test fails. Prints one line per mutant, and exits with 1 unless all are killed.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import yaml

REPOSITORY = Path(__file__).resolve().parent.parent
LIMIT_S = 900
TESTS_FAILED = 1  # exit code of pytest; other codes but 0 mean that no test could tell


class Mutant(NamedTuple):
    """A fault and the tests that must notice it."""

    name: str
    file: str
    old: str  # occurs once in the file
    new: str
    tests: str  # arguments of pytest


def read_mutants() -> list[Mutant]:
    """The mutants of mutants.yaml."""
    groups = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text())
    return [Mutant(**one, file=group["file"], tests=group["tests"]) for group in groups for one in group["mutants"]]


MUTANTS = read_mutants()


def copy_of(folder: Path) -> Path:
    """A copy of the tracked and the new files of the working tree."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=REPOSITORY, capture_output=True, check=True,
    )  # fmt: skip
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (REPOSITORY / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(REPOSITORY / name, folder / name)
    return folder


def outcome_of(mutant: Mutant, tree: Path) -> str:
    """Put the fault into the tree, run its tests, and remove it again."""
    path = tree / mutant.file
    text = path.read_text()
    if text.count(mutant.old) != 1:
        return f"STALE: {mutant.file} holds the text {text.count(mutant.old)} times"
    path.write_text(text.replace(mutant.old, mutant.new))
    try:
        command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *mutant.tests.split()]
        env = os.environ | {"PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"}
        done = subprocess.run(command, cwd=tree, env=env, capture_output=True, text=True, check=False, timeout=LIMIT_S)
    except subprocess.TimeoutExpired:
        return f"NOT RUN: pytest takes more than {LIMIT_S} s"
    finally:
        path.write_text(text)
    if done.returncode == TESTS_FAILED:
        failed = next((line for line in done.stdout.splitlines() if line.startswith("FAILED ")), "FAILED an error")
        return "killed by " + failed.split(" - ")[0].removeprefix("FAILED ").split("::", 1)[-1]
    if done.returncode == 0:
        return "SURVIVED"
    return f"NOT RUN: pytest exits with {done.returncode}: {(done.stdout + done.stderr).strip().splitlines()[-1:]}"


def main() -> int:
    """Run the mutants and print what became of them."""
    words = sys.argv[1:]
    chosen = [one for one in MUTANTS if not words or any(word in one.name for word in words)]
    killed = 0
    with tempfile.TemporaryDirectory(prefix="marquee-mutants-") as folder:
        tree = copy_of(Path(folder))
        for mutant in chosen:
            began = time.perf_counter()
            outcome = outcome_of(mutant, tree)
            killed += outcome.startswith("killed")
            print(f"{mutant.name:55} {time.perf_counter() - began:5.0f} s  {outcome}", flush=True)
    print(f"{killed} of {len(chosen)} mutants were killed")
    return 0 if killed == len(chosen) else 1


if __name__ == "__main__":
    sys.exit(main())
