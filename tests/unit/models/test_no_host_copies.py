"""On a GPU every read of a number makes the host wait: what a training step asks of torch is written down here on the CPU."""

from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from models.batch import Batch
from models.checks import READ_EVERY, BatchCheck
from models.learners.registry import LEARNERS, TRANSITION_LEARNERS, make_learner
from models.sampling import UniformSampler
from models.space import Space
from storage.dataset.gather import Compact, fill_batch, new_batch

FRAME, DIM, ITEMS, EVENTS, ROWS = 3, 4, 20, 200, 16
WAITING = ("_local_scalar_dense", "item", "is_nonzero", "nonzero", "equal", "masked_select", "_unique2")


class Written(TorchDispatchMode):
    """The names of all operations."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(self, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.names.append(operation.overloadpacket.__name__)
        return operation(*args, **(kwargs or {}))


@pytest.fixture
def compact() -> Compact:
    generator = torch.Generator().manual_seed(0)
    return Compact(
        torch.randint(ITEMS, (EVENTS,), generator=generator, dtype=torch.int32),
        torch.randint(1, 11, (EVENTS,), generator=generator, dtype=torch.uint8),
        torch.tensor([0, 80, EVENTS]),
        torch.randn(ITEMS, DIM, generator=generator),
        torch.arange(256) / 2.0 - 4,
    )


@pytest.mark.parametrize("name", TRANSITION_LEARNERS)
def test_a_training_step_reads_nothing_back(name: str, compact: Compact) -> None:
    """Drawing, gathering and learning, until the results of the checks are read."""
    space = Space(FRAME * DIM + FRAME, DIM, 1.0, -4.0, 5.0)
    learner = make_learner(LEARNERS[name].config.model_validate({}), space, "cpu", seed=0)
    learner.check = BatchCheck(space, learner.device, every=READ_EVERY)
    sampler = UniformSampler(torch.arange(EVENTS // 2 - FRAME), ROWS, seed=0)
    room = new_batch(ROWS, FRAME, DIM, torch.float32)
    with Written() as written:
        for _ in range(2):
            learner.update(Batch(*fill_batch(compact, FRAME, sampler.next(), room)))
    assert "mm" in written.names or "addmm" in written.names
    assert not set(WAITING) & set(written.names)


def test_reading_is_noticed() -> None:
    with Written() as written:
        float(torch.ones(()))
    assert set(WAITING) & set(written.names)
