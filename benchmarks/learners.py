"""Claim: an update of BCQ, and of REINFORCE, takes at most 3 times as long as TD3's; the rates of the other learners.

    python benchmarks/learners.py [learner, …; default all from transitions, and reinforce]

Generated ratings (shaped.py), batches of 256 transitions, or of a sequence learner's default; all other parameters are the
defaults. A batch is made and learnt from, as in training. The learners run in turn, ROUNDS rounds of UPDATES updates each, and medians
are printed. CPU time is that of all threads, and the ratio is that of CPU times: on a busy machine they vary less.
"""

import statistics
import sys
import tempfile
import time
from pathlib import Path

import torch
from shaped import conditions, write_dataset

from models.batch import Sequences
from models.learners.registry import LEARNERS, TRANSITION_LEARNERS
from models.sampling import UniformSampler
from storage.dataset.reader import TransitionDataset
from tasks.learning import Learning, make_learning

EVENTS, BATCH, UPDATES, ROUNDS = 400_000, 256, 20, 7


def transitions_of(learning: Learning, starts: torch.Tensor) -> int:
    """Actions in one batch."""
    batch = learning.gather(starts)
    return int(batch.taken.sum()) if isinstance(batch, Sequences) else len(starts)


def main() -> None:
    """Measure and print."""
    names = dict.fromkeys(("td3", *(sys.argv[1:] or (*TRANSITION_LEARNERS, "reinforce"))))
    with tempfile.TemporaryDirectory() as folder:
        write_dataset(Path(folder) / "t.h5", EVENTS)
        data = TransitionDataset.open(Path(folder) / "t.h5")
        made = {
            name: make_learning(LEARNERS[name].config.model_validate({}), data, BATCH, "cosine", "cpu", 0)
            for name in names
        }
    samplers = {name: UniformSampler(data.starts("all"), learning.batch_size, 0) for name, learning in made.items()}
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in names}
    for turn in range(ROUNDS + 1):
        for name, learning in made.items():
            began = time.perf_counter(), time.process_time()
            for _ in range(UPDATES):
                learning.learner.update(learning.gather_in_turn(samplers[name].next()))
            if turn:  # the first round warms up
                spent = time.perf_counter() - began[0], time.process_time() - began[1]
                taken[name].append((spent[0] / UPDATES, spent[1] / UPDATES))
    print(f"{torch.get_num_threads()} threads, {conditions()}, medians of {ROUNDS} rounds of {UPDATES} updates")
    print(f"{'learner':20} {'transitions':>11} {'updates/s':>9} {'ms':>7} {'CPU ms':>7} {'of TD3':>7}")
    base = statistics.median(cpu for _, cpu in taken["td3"])
    for name, times in taken.items():
        wall, cpu = (statistics.median(column) for column in zip(*times, strict=True))
        count = transitions_of(made[name], samplers[name].next())
        print(f"{name:20} {count:11,} {1 / wall:9.1f} {wall * 1e3:7.2f} {cpu * 1e3:7.2f} {cpu / base:6.2f}×")


if __name__ == "__main__":
    main()
