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

REPOSITORY = Path(__file__).resolve().parent.parent
TESTS_FAILED = 1  # exit code of pytest; other codes but 0 mean that no test could tell


class Mutant(NamedTuple):
    """A fault and the tests that must notice it."""

    name: str
    file: str
    old: str  # occurs once in the file
    new: str
    tests: str  # arguments of pytest


CACHING, FETCH, CRAWL = "tasks/caching.py", "storage/sources/web/fetch.py", "storage/sources/web/crawl.py"
TASKS = "tests/integration/test_artifact_tasks.py"
GATES = "tests/integration/test_gates_in_a_flow.py"
CLIPS = "tests/unit/models/test_learner_equations.py::test_td3_clips_the_noise_and_the_target_action"
ARCHIVES = "tests/unit/storage/sources/movielens/test_archives.py::test_limits_count_the_unpacked_bytes"
CRAWL_TASK = (
    "tests/unit/tasks/test_crawl.py::test_a_crawl_removes_expired_answers_and_uses_only_those_that_outlive_its_window"
)
MUTANTS = (
    Mutant("typed errors are retried", CACHING, "not isinstance(error, MarqueeError | ValueError)", "True", TASKS),
    Mutant("nothing is retried", CACHING, "not isinstance(error, MarqueeError | ValueError)", "False", TASKS),
    Mutant("no retry condition", CACHING, "        retry_condition_fn=is_worth_retrying,\n", "", TASKS),
    Mutant("no retries", CACHING, "retries=2,", "retries=0,", TASKS),
    Mutant(
        "TD3: noise is not clipped",
        "models/learners/td3.py",
        "noise.clamp(-self.config.noise_clip, self.config.noise_clip) * limit",
        "noise * limit",
        CLIPS,
    ),
    Mutant(
        "TD3: target action is not clipped",
        "models/learners/td3.py",
        " + noise).clamp(-limit, limit))",
        " + noise))",
        CLIPS,
    ),
    Mutant(
        "backoff is always 0",
        FETCH,
        "return RANDOM.uniform(0, min(bound, self.patience.longest_delay_seconds))",
        "return 0.0",
        "tests/unit/storage/sources/web/test_fetch.py",
    ),
    Mutant(
        "an answer does not reset the outage counter",
        CRAWL,
        "        self.requests += 1\n        self.outages = 0\n",
        "        self.requests += 1\n",
        "tests/unit/storage/sources/web/test_crawl.py",
    ),
    Mutant(
        "a broken answer does not reset the outage counter",
        CRAWL,
        "self.outages + 1 if failure.outage else 0",
        "self.outages + failure.outage",
        "tests/unit/storage/sources/web/test_crawl.py",
    ),
    Mutant(
        "the gate passes an empty table",
        "expectations/validate.py",
        "passed=False, failures=(), warnings=()",
        "passed=True, failures=(), warnings=()",
        GATES,
    ),
    Mutant("the gate never raises", "tasks/gates.py", "    if not result.passed:", "    if False:", GATES),
    Mutant(
        "a flow does not pass the gate",
        "tasks/gates.py",
        "    pass_gate(name, ",
        "    print(name, ",
        GATES,
    ),
    Mutant(
        "train-policy has no gate",
        "flows/train_policy.py",
        '        gate("transitions", validate_transitions, chosen)',
        "        validate_transitions(chosen)",
        GATES,
    ),
    Mutant(
        "evaluate-policy has no gate",
        "flows/evaluate_policy.py",
        '        gate("transitions", validate_transitions, chosen)',
        "        validate_transitions(chosen)",
        GATES,
    ),
    Mutant(
        "schema_version is not in the digest",
        "storage/artifacts/manifest.py",
        'self.model_dump(mode="json")',
        'self.model_dump(mode="json", exclude={"schema_version"})',
        "tests/unit/storage/artifacts/test_manifest.py",
    ),
    Mutant(
        "a task's schema_version is not in its recipe",
        CACHING,
        "schema_version=schema_version,\n",
        "schema_version=1,\n",
        TASKS,
    ),
    Mutant(
        "gather does not check its bounds",
        "storage/dataset/gather.py",
        "    if on_cpu and len(starts) and (",
        "    if False and (",
        "tests/unit/storage/dataset/test_gather.py",
    ),
    Mutant("a crawl never purges its cache", "tasks/crawl.py", "expired = cache.purge()", "expired = 0", CRAWL_TASK),
    Mutant(
        "a crawl ignores its window",
        "tasks/crawl.py",
        "crawl(ids, service, cache, fetcher, window.until, show)",
        "crawl(ids, service, cache, fetcher, None, show)",
        CRAWL_TASK,
    ),
    Mutant(
        "an archive's total is counted in packed bytes",
        "storage/sources/movielens/archives.py",
        "    total = sum(member.file_size",
        "    total = sum(member.compress_size",
        ARCHIVES,
    ),
    Mutant(
        "an archive's room on disk is counted in packed bytes",
        "storage/sources/movielens/archives.py",
        "            needed = sum(member.file_size",
        "            needed = sum(member.compress_size",
        ARCHIVES,
    ),
)


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
        done = subprocess.run(command, cwd=tree, env=env, capture_output=True, text=True, check=False, timeout=600)
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
