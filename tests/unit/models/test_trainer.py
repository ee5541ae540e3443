import io
import math
from typing import Any

import pytest
import torch
from torch import Tensor

from models.batch import Batch
from models.errors import LearnerError
from models.learners import Learner, make_learner
from models.learners.td3_bc import TD3BCConfig
from models.sampling import UniformSampler
from models.space import Space
from models.trainer import Trainer, TrainerConfig

CONFIG = TrainerConfig(steps=30, batch_size=8, log_every=5, validate_every=10, checkpoint_every=7)


def gather(starts: Tensor) -> Batch:
    x = starts.float().unsqueeze(1)
    return Batch(
        x.sin().repeat(1, 3), x.cos().repeat(1, 2) / 2, x[:, 0].sin(), x.cos().repeat(1, 3), (starts % 5 == 0).float()
    )


def trainer(config: TrainerConfig = CONFIG, **learner: Any) -> Trainer:
    made = make_learner(TD3BCConfig(hidden_dim=16, **learner), Space(3, 2, 1.0), "cpu", 0)
    calls = iter(range(100))

    def validate(learner: Learner) -> dict[str, float]:
        return {"ndcg@10": float(learner.policy(torch.ones(1, 3)).sum()), "value_policy": 0.0 * next(calls)}

    return Trainer(made, UniformSampler(torch.arange(50), config.batch_size, 3), gather, validate, config)


def ignore(*_: object) -> None:
    pass


def test_killed_and_resumed_run_ends_in_the_same_bits() -> None:
    whole = trainer()
    rows = whole.run(ignore, ignore)
    saved: dict[int, bytes] = {}

    def keep(step: int, state: dict[str, Any]) -> None:
        buffer = io.BytesIO()
        torch.save(state, buffer)
        saved[step] = buffer.getvalue()

    trainer().run(ignore, keep)
    assert sorted(saved) == [7, 14, 21, 28]
    resumed = trainer()
    resumed.load_state_dict(torch.load(io.BytesIO(saved[14]), weights_only=True))
    assert resumed.run(ignore, ignore) == rows
    assert resumed.best_step == whole.best_step
    for name, value in whole.best_actor.items():
        assert torch.equal(value, resumed.best_actor[name])


def test_rows_and_selection() -> None:
    run = trainer()
    logged: list[int] = []
    rows = run.run(logged.append, ignore)
    assert logged == [5, 10, 15, 20, 25, 30]
    ndcg = {step: value for step, split, metric, value in rows if (split, metric) == ("validation", "ndcg@10")}
    assert sorted(ndcg) == [10, 20, 30]
    assert run.best_step == max(ndcg, key=lambda step: ndcg[step])
    assert math.isclose(run.best_score, max(ndcg.values()))


def test_divergence_stops_with_step_and_metric() -> None:
    with pytest.raises(LearnerError, match=r"step \d+: expected value_\w+ to stay finite"):
        trainer(CONFIG.model_copy(update={"max_value": 1e-6})).run(ignore, ignore)


def test_sampler_is_uniform_seeded_and_needs_something_to_draw_from() -> None:
    sampler = UniformSampler(torch.tensor([3, 5, 8]), 3000, 1)
    counts = torch.bincount(sampler.next())
    assert counts.nonzero().flatten().tolist() == [3, 5, 8]
    assert counts[[3, 5, 8]].min() > 900
    again = UniformSampler(torch.tensor([3, 5, 8]), 3000, 1)
    again.next()
    state = again.state_dict()
    third = again.next()
    again.load_state_dict(state)
    assert torch.equal(third, again.next())
    with pytest.raises(LearnerError, match="found none"):
        UniformSampler(torch.zeros(0, dtype=torch.long), 4, 0)
