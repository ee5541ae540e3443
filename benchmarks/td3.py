"""Claim: a TD3 update (1,290-d observation, 256-256 nets, batch 256) takes at most 1 / 1.5 of RecNN's, as published.

    python benchmarks/td3.py [updates in a round, default 60] [rounds, default 9] [batch, default 256] [--bfloat16]

The ways run in turn, one round each; prints medians over rounds. Both sides use Adam and a policy delay of 2 (and of 10,
RecNN's own); RecNN's Ranger would be slower. recnn.py holds RecNN's update. CPU time is that of all threads. --bfloat16
adds TD3 with bfloat16 products, which are faster on processors with AMX.
"""

import resource
import statistics
import sys
import time
from collections.abc import Callable, Sequence

import torch
from recnn import RecNN
from shaped import DIM, FRAME, conditions

from models.batch import Batch
from models.learners.registry import make_learner
from models.learners.td3 import TD3Config
from models.networks import Precision
from models.space import Space

OBSERVATION = FRAME * DIM + FRAME


def batches(size: int, count: int = 8) -> list[Batch]:
    """Random batches with rewards from -4 to 5."""
    generator = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator)

    return [
        Batch(
            normal(size, OBSERVATION), normal(size, DIM), normal(size).clamp(-4, 5), normal(size, OBSERVATION),
            (torch.rand(size, generator=generator) < 0.01).float(),
        )
        for _ in range(count)
    ]  # fmt: skip


def ways(precisions: Sequence[Precision]) -> dict[str, Callable[[Batch], object]]:
    """The updates that are compared, each baseline first."""
    space = Space(OBSERVATION, DIM, 1.0, -4.0, 5.0)
    found: dict[str, Callable[[Batch], object]] = {}
    for delay in (2, 10):
        found[f"RecNN, policy delay {delay}"] = RecNN(OBSERVATION, DIM, 256, delay).update
        for precision in precisions:
            learner = make_learner(TD3Config(policy_delay=delay, precision=precision), space, "cpu", seed=0)
            found[f"{precision}, policy delay {delay}"] = learner.update
    return found


def main() -> None:
    """Measure and print."""
    numbers = [int(word) for word in sys.argv[1:] if word != "--bfloat16"]
    updates, rounds, size = (*numbers, *(60, 9, 256)[len(numbers) :])
    given = batches(size)
    taken: dict[str, list[tuple[float, float]]] = {}
    compared = ways(("float32", "bfloat16") if "--bfloat16" in sys.argv else ("float32",))
    for turn in range(rounds + 1):
        for name, update in compared.items():
            began = time.perf_counter(), time.process_time()
            for place in range(updates):
                update(given[place % len(given)])
            if turn:  # the first round warms up
                spent = time.perf_counter() - began[0], time.process_time() - began[1]
                taken.setdefault(name, []).append((spent[0] / updates, spent[1] / updates))
    print(f"TD3 update, batch {size}, {torch.get_num_threads()} threads, {conditions()}, medians of {rounds} rounds")
    print(f"{'way':28} {'updates/s':>9} {'ms':>7} {'range':>13} {'ratio':>7} {'CPU ms':>7} {'ratio':>7}")
    base = (0.0, 0.0)
    for name, times in taken.items():
        wall, cpu = (statistics.median(column) * 1e3 for column in zip(*times, strict=True))
        base = (wall, cpu) if name.startswith("RecNN") else base
        walls = [one[0] * 1e3 for one in times]
        spread = f"{min(walls):.1f}-{max(walls):.1f}"
        print(
            f"{name:28} {1e3 / wall:9.1f} {wall:7.2f} {spread:>13} {base[0] / wall:6.2f}× {cpu:7.2f} {base[1] / cpu:6.2f}×"
        )
    print(f"peak {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10:,.0f} MiB")


if __name__ == "__main__":
    main()
