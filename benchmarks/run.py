"""Run benchmarks and keep what they print, and what the machine was, for docs/write_results.py: `make bench`.

    python benchmarks/run.py [--transitions TRANSITIONS.h5] [--keep FOLDER, default .marquee/benchmarks] [name …]

Without names all are run. Those of real data want MARQUEE_REAL_DATA, a folder with ml-latest-small, TMDB's exports and Jester;
those that train on it also --transitions, its dataset. What cannot be run is said and left as it was kept before.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from shaped import conditions

HERE = Path(__file__).parent
REAL = "--profile ml-latest-small --data ml-latest-small --metadata tmdb-movies,tmdb-5000"
# name → script and arguments; capitals stand for what is not the same everywhere
COMMANDS: Mapping[str, str] = {
    "ingest": "ingest.py",
    "growth": "growth.py --huge",
    "build_dataset": "whole_way.py build-dataset --data ML20M --metadata ML20M/metadata --set features.text.max_tokens=8",
    "publishing": "publishing.py",
    "gather": "gather.py",
    "stream": "stream.py",
    "texts": "texts.py",
    "evaluating": "evaluating.py",
    "ranking": "ranking.py",
    "serve": "serve.py",
    "td3": "td3.py --bfloat16",
    "learners": "learners.py",
    "training": "training.py",
    "epoch": "epoch.py",
    "off_policy": "off_policy.py",
    "off_policy_jester": "off_policy_jester.py",
    "retrain": f"whole_way.py retrain {REAL}",
    "search": "search.py TRANSITIONS.h5",
    "presets": "presets.py TRANSITIONS.h5",
    "ablation": "ablation.py TRANSITIONS.h5",
    "leave_one_out": "leave_one_out.py",
    "in_sardine": "in_sardine.py --users 100 --log 150 --updates 2000 --steps 100000",
}
NEEDS_REAL_DATA = ("retrain", "texts", "off_policy_jester", "leave_one_out")


def arguments(command: str, shaped: Path | None, transitions: Path | None) -> list[str] | None:
    """A command's words with what its capitals stand for; None where that was not given."""
    script, *words = command.split()
    found = [sys.executable, str(HERE / script)]
    for word in words:
        if word.startswith("ML20M"):
            found.append(word.replace("ML20M", str(shaped)))
        elif word == "TRANSITIONS.h5":
            if transitions is None:
                return None
            found.append(str(transitions.resolve()))
        else:
            found.append(word)
    return found


def run(name: str, words: list[str], kept: Path) -> int:
    """Run one benchmark, show and keep what it prints; its exit code."""
    before = "MARQUEE_REAL_DATA=FOLDER " if name in NEEDS_REAL_DATA else ""
    lines = [f"$ {before}python benchmarks/{COMMANDS[name]}\n", f"{conditions()}\n"]
    print(*lines, sep="", end="", flush=True)
    folder = os.environ["MARQUEE_REAL_DATA"] if name == "retrain" else None
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, cwd=folder) as process:
        for line in process.stdout or ():
            print(line, end="", flush=True)
            lines.append(line)
    if process.returncode:
        lines.append(f"exit code {process.returncode}\n")
    kept.mkdir(parents=True, exist_ok=True)
    (kept / f"{name}.txt").write_text("".join(lines))
    return process.returncode


def main() -> None:
    """Run what is wanted; exit code 1 where one failed, or was named and cannot be run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="name", help=", ".join(COMMANDS))
    parser.add_argument("--transitions", type=Path)
    parser.add_argument("--keep", type=Path, default=Path(".marquee/benchmarks"))
    given: Any = parser.parse_args()
    if unknown := set(given.names) - set(COMMANDS):
        parser.error(f"expected names of {', '.join(COMMANDS)}; found {', '.join(sorted(unknown))}.")
    failed: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        shaped = Path(folder) / "ml-20m"
        for name in given.names or COMMANDS:
            words = arguments(COMMANDS[name], shaped, given.transitions)
            if words is None or (name in NEEDS_REAL_DATA and "MARQUEE_REAL_DATA" not in os.environ):
                print(f"{name}: not run; see --help for what it needs.\n")
                failed += given.names and [name]
                continue
            if "ML20M" in COMMANDS[name] and not shaped.exists():
                subprocess.run(
                    [sys.executable, str(HERE / "shape.py"), str(shaped)], check=True, stdout=subprocess.DEVNULL
                )
            if run(name, words, given.keep):
                failed.append(name)
            print()
    if failed:
        raise SystemExit(f"failed, or could not be run: {', '.join(failed)}.")


if __name__ == "__main__":
    main()
