import io
import math
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from models.batch import Batch
from models.early_warnings import Row
from models.errors import DivergenceError, LearnerError
from models.learners.actor import ActorLearner
from models.learners.registry import make_learner
from models.learners.td3_bc import TD3BCConfig
from models.sampling import UniformSampler
from models.space import Space
from models.trainer import Trainer
from models.trainer_config import TrainerConfig

CONFIG = TrainerConfig(steps=30, batch_size=8, log_every=5, validate_every=10, checkpoint_every=7)
STAGED = TrainerConfig(
    steps=60, batch_size=8, log_every=5, validate_every=5, checkpoint_every=3, patience=2, stages=("radam", "adam")
)
RISE_AND_FALL = [0.1, 0.3, 0.2, 0.2, 0.1, 0.4, 0.3, 0.2, 0.1, 0.1]  # turns at update 20, and again at 40


def gather(starts: Tensor) -> Batch:
    x = starts.float().unsqueeze(1)
    return Batch(
        x.sin().repeat(1, 3), x.cos().repeat(1, 2) / 2, x[:, 0].sin(), x.cos().repeat(1, 3), (starts % 5 == 0).float()
    )


def learner_of(seed: int = 0, **changes: Any) -> ActorLearner:
    return make_learner(TD3BCConfig(**({"hidden_dim": 16} | changes)), Space(3, 2, 1.0, -4.0, 5.0), "cpu", seed)


def trainer(config: TrainerConfig = CONFIG, scores: Sequence[float] = (), **more: Any) -> Trainer:
    """A run whose criterion follows the policy, or the given scores, look by look."""
    learner = more.pop("learner", None) or learner_of()
    sampler = UniformSampler(torch.arange(50), config.batch_size, 3)

    def validate() -> dict[str, float]:
        look = run.step // config.validate_every - 1
        ndcg = scores[look] if scores else float(learner.policy(torch.ones(1, 3)).detach().sum())
        return {"ndcg@10": ndcg, "actor_loss": -ndcg, "value_policy": 0.0}

    run = Trainer(learner, sampler, gather, validate, config, **more)
    return run


def ignore(*_: object) -> None:
    pass


def keeping() -> tuple[dict[int, bytes], Callable[[int, dict[str, Any]], None]]:
    saved: dict[int, bytes] = {}

    def keep(step: int, state: dict[str, Any]) -> None:
        buffer = io.BytesIO()
        torch.save(state, buffer)
        saved[step] = buffer.getvalue()

    return saved, keep


def loaded(data: bytes) -> dict[str, Any]:
    state: dict[str, Any] = torch.load(io.BytesIO(data), weights_only=True)
    return state


def assert_same_policy(a: dict[str, Tensor], b: dict[str, Tensor]) -> None:
    assert a.keys() == b.keys()
    assert all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize(("config", "scores"), [(CONFIG, ()), (STAGED, RISE_AND_FALL)], ids=["one-stage", "two-stages"])
@pytest.mark.parametrize("candidates", [0, 5])
def test_killed_anywhere_and_resumed_ends_in_the_same_bits(
    config: TrainerConfig, scores: Sequence[float], candidates: int
) -> None:
    saved, keep = keeping()
    whole = trainer(config, scores, learner=learner_of(critic_candidates=candidates))
    rows = whole.run(ignore, keep)
    assert len(saved) > 3
    for data in saved.values():
        resumed = trainer(config, scores, learner=learner_of(seed=9, critic_candidates=candidates))
        resumed.load_state_dict(loaded(data))
        assert resumed.run(ignore, ignore) == rows
        assert (resumed.best_step, resumed.stage_starts) == (whole.best_step, whole.stage_starts)
        assert_same_policy(resumed.best_policy, whole.best_policy)
        assert_same_policy(resumed.learner.policy.state_dict(), whole.learner.policy.state_dict())


def test_critics_that_have_a_say_are_kept_as_they_were_when_best() -> None:
    learner = learner_of(critic_candidates=5)
    run = trainer(scores=[0.1, 0.3, 0.2], learner=learner)
    at: dict[int, dict[str, Tensor]] = {}
    update = learner.update

    def watch(batch: Batch) -> dict[str, Tensor]:
        metrics = update(batch)
        at[learner.steps] = {name: value.clone() for name, value in learner.critics.state_dict().items()}
        return metrics

    learner.update = watch  # type: ignore[method-assign]
    run.run(ignore, ignore)
    kept = {name.removeprefix("critics."): value for name, value in run.best_policy.items() if "critics." in name}
    assert run.best_step == 20
    assert_same_policy(kept, at[20])
    assert not torch.equal(at[20]["weights.0"], at[30]["weights.0"])


def test_rows_are_means_of_their_window_and_the_best_look_is_kept() -> None:
    told: list[Row] = []
    run = trainer()
    losses: list[float] = []
    update = run.learner.update

    def listen(batch: Batch) -> dict[str, Tensor]:
        metrics = update(batch)
        losses.append(float(metrics["critic_loss"]))
        return metrics

    run.learner.update = listen  # type: ignore[method-assign]
    rows = run.run(lambda _, new: told.extend(new), ignore)
    assert told == rows
    logged = [value for _, split, metric, value in rows if (split, metric) == ("train", "critic_loss")]
    assert logged == pytest.approx([sum(losses[at : at + 5]) / 5 for at in range(0, 30, 5)], rel=1e-5)
    assert [losses.pop() for _ in range(30)]
    ndcg = {step: value for step, split, metric, value in rows if (split, metric) == ("validation", "ndcg@10")}
    assert sorted(ndcg) == [0, 10, 20, 30]
    assert run.best_step == max(ndcg, key=lambda step: ndcg[step])
    assert math.isclose(run.best("ndcg@10"), max(ndcg.values()))


def test_the_second_stage_begins_from_the_best_state_with_a_fresh_optimiser() -> None:
    saved, keep = keeping()
    run = trainer(STAGED, RISE_AND_FALL)
    run.run(ignore, keep)
    assert run.stage_starts == [0, 20]  # the best was at 10; 15 and 20 brought nothing better
    assert (run.step, run.best_step) == (40, 30)
    first, turned = loaded(saved[10])["learner"], loaded(saved[18])["learner"]
    began = trainer(STAGED, RISE_AND_FALL)
    began.load_state_dict(loaded(saved[18]))
    update = began.learner.update
    seen: list[dict[str, Any]] = []

    def watch(batch: Batch) -> dict[str, Tensor]:
        if began.step == 20:
            seen.append(began.state_dict()["learner"])
            for name in ("policy", "critics", "target_policy", "target_critics"):
                assert_same_policy(seen[0][name], first[name])
        return update(batch)

    began.learner.update = watch  # type: ignore[method-assign]
    began.run(ignore, ignore)
    assert (turned["optimiser"], seen[0]["optimiser"]) == ("radam", "adam")
    assert turned["actor_optimiser"]["optimiser"]["state"]
    assert not seen[0]["actor_optimiser"]["optimiser"]["state"]


@pytest.mark.parametrize(
    ("changes", "ended", "best"),
    [
        ({"patience": 2}, 20, 10),
        ({"patience": 3, "select_by": "policy_loss"}, 25, 10),
        ({"patience": None}, 50, 30),
        ({"patience": 10}, 50, 30),
    ],
)
def test_the_criterion_ends_the_run_or_the_steps_do(changes: dict[str, Any], ended: int, best: int) -> None:
    run = trainer(STAGED.model_copy(update={"stages": (), "steps": 50} | changes), RISE_AND_FALL)
    run.run(ignore, ignore)
    assert (run.step, run.best_step) == (ended, best)


def test_stages_need_something_that_ends_them() -> None:
    with pytest.raises(ValueError, match="Set patience"):
        TrainerConfig(stages=("radam", "adam"), patience=None)


def test_what_is_selected_by_must_be_reported() -> None:
    with pytest.raises(LearnerError, match=r"select_by: expected one of .*; found ndcg@10_liked"):
        trainer(CONFIG.model_copy(update={"select_by": "ndcg@10_liked"})).run(ignore, ignore)


def test_divergence_names_its_bound_and_keeps_the_best() -> None:
    saved, keep = keeping()
    run = trainer(CONFIG.model_copy(update={"log_every": 1}), [0.2, 0.1, 0.0])
    update = run.learner.update

    def run_away(batch: Batch) -> dict[str, Tensor]:
        return update(batch) | ({"value_policy": torch.tensor(-2e4)} if run.step >= 24 else {})

    run.learner.update = run_away  # type: ignore[method-assign]
    with pytest.raises(DivergenceError, match=r"update 25: expected train value_policy.*10000.*found -20000") as caught:
        run.run(ignore, keep)
    error = caught.value
    assert (error.step, error.metric, error.bound, error.best_step) == (25, "train value_policy", 1e4, 10)
    assert "of update 10, is kept" in str(error)
    assert max(saved) == 21
    assert_same_policy(loaded(saved[21])["best_policy"], run.best_policy)
    assert run.best("ndcg@10") == 0.2


def test_values_beyond_their_bound_never_become_a_checkpoint() -> None:
    saved, keep = keeping()
    run = trainer(CONFIG.model_copy(update={"log_every": 50, "checkpoint_every": 7}))
    update = run.learner.update

    def run_away(batch: Batch) -> dict[str, Tensor]:
        return update(batch) | ({"value_policy": torch.tensor(-1e6)} if run.step >= 24 else {})

    run.learner.update = run_away  # type: ignore[method-assign]
    with pytest.raises(DivergenceError, match=r"update 28: expected train value_policy.*10000"):
        run.run(ignore, keep)
    assert max(saved) <= 24


def spoil_weights(run: Trainer, step: int) -> None:
    """Let one of the policy's weights become NaN in an update."""
    update = run.learner.update

    def spoil(batch: Batch) -> dict[str, Tensor]:
        metrics = update(batch)
        if run.step == step:
            next(run.learner.policy.parameters()).data[0, 0] = torch.nan
        return metrics

    run.learner.update = spoil  # type: ignore[method-assign]


def test_spoilt_weights_never_become_a_checkpoint() -> None:
    saved, keep = keeping()
    run = trainer()
    spoil_weights(run, 13)
    with pytest.raises(DivergenceError, match="update 14: expected all numbers of policy to stay finite; found nan"):
        run.run(ignore, keep)
    assert max(saved) < 14


def test_spoilt_weights_between_logs_are_divergence_too() -> None:
    """A look would rank by NaN, which the ranking refuses without a word of what is kept."""
    saved, keep = keeping()
    run = trainer(CONFIG.model_copy(update={"log_every": 20, "validate_every": 15, "checkpoint_every": 30}))

    def refuse() -> dict[str, float]:
        raise LearnerError("scores: expected a number for every item; found NaN.")

    spoil_weights(run, 13)
    validate, run.validate = run.validate, lambda: validate() if run.step < 13 else refuse()
    with pytest.raises(DivergenceError, match=r"update 15: expected all numbers of policy.*of update 0, is kept"):
        run.run(ignore, keep)
    assert run.best_policy
    assert not saved


@pytest.mark.parametrize(
    ("other", "made_with", "expected"),
    [
        (
            {"hidden_dim": 17},
            {"dataset": "a", "learner": "x"},
            r"expected policy actor.layers.0.weight 16×3.*found .*17×3",
        ),
        ({}, {"dataset": "b", "learner": "x"}, "expected dataset a; found b"),
        ({}, {"dataset": "a", "learner": "y"}, "expected learner x; found y"),
    ],
)
def test_a_foreign_checkpoint_is_refused(other: dict[str, Any], made_with: dict[str, str], expected: str) -> None:
    saved, keep = keeping()
    trainer(made_with=made_with, learner=learner_of(**other)).run(ignore, keep)
    mine = trainer(made_with={"dataset": "a", "learner": "x"})
    with pytest.raises(LearnerError, match=expected):
        mine.load_state_dict(loaded(saved[14]))
    with pytest.raises(LearnerError, match="expected format marquee-training/3; found an earlier one"):
        mine.load_state_dict({"step": 3})


def test_warnings_are_kept_once_and_resumed() -> None:
    saved, keep = keeping()
    run = trainer(returns=(1.0, 2.0))  # value_policy is 0: beyond what returns can be
    run.run(ignore, keep)
    assert [(warning.kind, warning.step) for warning in run.warnings] == [("values-explode", 0)]
    again = trainer(returns=(1.0, 2.0))
    again.load_state_dict(loaded(saved[14]))
    again.run(ignore, ignore)
    assert again.warnings == run.warnings
