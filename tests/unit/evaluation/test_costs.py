import numpy as np

from evaluation.costs import measured


def test_time_and_memory_of_a_piece_of_work() -> None:
    small, cheap = measured(lambda: 1)
    size, dear = measured(lambda: float(np.ones(40_000_000).sum()))
    assert (small, size) == (1, 40_000_000)
    assert cheap.fit_seconds is not None
    assert dear.fit_seconds is not None
    assert dear.fit_seconds > cheap.fit_seconds
    if cheap.peak_mib is not None and dear.peak_mib is not None:  # where the kernel says
        assert 200 < dear.peak_mib - cheap.peak_mib < 1000
        assert measured(lambda: 1)[1].peak_mib < dear.peak_mib - 200  # type: ignore[operator]
