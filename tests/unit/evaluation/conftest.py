"""A dataset small enough to work out by hand."""

from pathlib import Path

import numpy as np
import pytest

from storage.dataset.histories import UserHistories
from storage.dataset.reader import TransitionDataset
from storage.dataset.scale import RatingScale
from storage.dataset.writer import write_transitions


@pytest.fixture
def data(tmp_path: Path) -> TransitionDataset:
    """Sixty users of 4 to 30 events, some items more than once; a third each for training, validation and test."""
    rng = np.random.default_rng(0)
    users, items = 60, 30
    length = rng.integers(4, 31, users)
    histories = UserHistories(
        user_id=np.arange(users),
        length=length,
        item=np.concatenate([rng.choice(items, n, replace=n % 2 == 0) for n in length]).astype(np.int32),
        code=rng.integers(1, 11, length.sum()).astype(np.uint8),
        timestamp=np.concatenate([np.arange(n) for n in length]),
    )
    write_transitions(
        tmp_path / "t.h5",
        [histories],
        user_ids=histories.user_id,
        split=(np.arange(users) % 3).astype(np.uint8),
        movie_ids=np.arange(items) * 10,
        embeddings=rng.normal(size=(items, 4)).astype(np.float32),
        scale=RatingScale(),
        frame=3,
        time_cut=12,
        provenance={},
    )
    return TransitionDataset.open(tmp_path / "t.h5")
