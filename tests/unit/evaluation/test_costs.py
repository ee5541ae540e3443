import numpy as np

from evaluation.costs import Memory, measured


def test_time_and_memory_of_a_piece_of_work() -> None:
    small, little, cheap = measured(lambda: 1)
    size, much, dear = measured(lambda: float(np.ones(40_000_000).sum()))
    assert (small, size) == (1, 40_000_000)
    assert much > little
    if cheap is not None and dear is not None:  # where the kernel says
        assert cheap < 100
        assert 200 < dear < 1000


def test_what_was_held_before_does_not_count() -> None:
    held = np.ones(40_000_000)
    memory = Memory()
    if (before := memory.peak()) is not None:
        assert before < 100
        more = np.ones(40_000_000)
        assert 200 < (memory.peak() or 0) < 1000
        del more
        assert (memory.peak() or 0) > 200
    assert len(held)


def test_memory_that_earlier_work_freed_counts_again() -> None:
    measured(lambda: [np.ones(1000) for _ in range(30_000)])  # small pieces, which the C library keeps
    _, _, again = measured(lambda: [np.ones(1000) for _ in range(30_000)])
    if again is not None:
        assert again > 100
