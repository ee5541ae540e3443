import io
import math
from typing import Any, get_args

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from models.learners.diversity import DiversityMeasure, likeness
from models.optimisers import Optimiser, OptimiserConfig, OptimiserName, ScheduleName

every_one = pytest.mark.parametrize("name", get_args(OptimiserName))
every_schedule = pytest.mark.parametrize("schedule", get_args(ScheduleName))
BEST = torch.tensor([1.0, -2.0, 0.5])


def problem(rate: float = 0.05, **config: Any) -> tuple[torch.nn.Parameter, Optimiser]:
    parameter = torch.nn.Parameter(torch.zeros(3))
    return parameter, Optimiser(OptimiserConfig(**config), [parameter], rate)


def descend(parameter: torch.nn.Parameter, optimiser: Optimiser, steps: int) -> list[float]:
    """Go down |x - BEST|²; the learning rate at each step."""
    rates = []
    for _ in range(steps):
        optimiser.zero_grad()
        (parameter - BEST).square().sum().backward()
        rates.append(optimiser.inner.param_groups[0]["lr"])
        optimiser.step()
    return rates


@every_one
@every_schedule
def test_finds_the_bottom(name: OptimiserName, schedule: ScheduleName) -> None:
    parameter, optimiser = problem(name=name, schedule=schedule, period=100)
    descend(parameter, optimiser, 700)
    assert (parameter - BEST).abs().max() < 0.1


@every_one
@every_schedule
def test_resumes_to_the_same_bits_in_the_middle_of_a_period(name: OptimiserName, schedule: ScheduleName) -> None:
    whole, half = problem(name=name, schedule=schedule, period=7), problem(name=name, schedule=schedule, period=7)
    rates = descend(*whole, 30)
    descend(*half, 11)
    buffer = io.BytesIO()
    torch.save((half[0].data, half[1].state_dict()), buffer)
    buffer.seek(0)
    resumed = problem(name=name, schedule=schedule, period=7)
    resumed[0].data, state = torch.load(buffer, weights_only=True)
    resumed[1].load_state_dict(state)
    assert descend(*resumed, 19) == rates[11:]
    assert torch.equal(whole[0], resumed[0])


def test_schedules_have_their_shapes() -> None:
    assert descend(*problem(rate=0.1), 5) == [0.1] * 5
    restarts = descend(*problem(rate=0.1, schedule="warm_restarts", period=4, period_growth=2), 13)
    cosine = [0.1 * (1 + math.cos(math.pi * step / 4)) / 2 for step in range(4)]
    longer = [0.1 * (1 + math.cos(math.pi * step / 8)) / 2 for step in range(8)]
    assert restarts == pytest.approx([*cosine, *longer, 0.1])
    cyclic = descend(*problem(rate=0.1, schedule="cyclic", period=4), 9)
    assert cyclic == pytest.approx([0.025, 0.0625, 0.1, 0.0625] * 2 + [0.025])


@every_one
@pytest.mark.parametrize("length", [1e-4, 1e4])
def test_clipping_keeps_the_direction(name: OptimiserName, length: float) -> None:
    parameter, optimiser = problem(name="sgd", momentum=0, max_gradient_norm=1e-2, rate=0.1)
    gradient = torch.tensor([3.0, -4.0, 0.0]) * length / 5
    parameter.grad = gradient.clone()
    assert float(optimiser.step()) == pytest.approx(length)
    expected = gradient * min(1, 1e-2 / length)
    torch.testing.assert_close(parameter.data, -0.1 * expected, rtol=1e-4, atol=0)
    parameter, optimiser = problem(name=name, max_gradient_norm=1e-2)
    parameter.grad = gradient.clone()
    optimiser.step()
    moved = parameter.detach()[:2]
    assert torch.equal(moved.sign(), -gradient[:2].sign())


@every_one
def test_weight_decay_shrinks(name: OptimiserName) -> None:
    """With nothing to learn, weights go to zero; without decay they stay."""
    for decay, shrinks in ((0.5, True), (0.0, False)):
        parameter, optimiser = problem(name=name, weight_decay=decay)
        parameter.data.fill_(1.0)
        for _ in range(30):
            parameter.grad = torch.zeros(3)
            optimiser.step()
        assert bool((parameter < 0.99).all()) is shrinks


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "ranger"}, "'adam', 'adamw', 'radam', 'sgd' or 'rmsprop'"),
        ({"schedule": "linear"}, "'constant', 'warm_restarts' or 'cyclic'"),
        ({"max_gradient_norm": -1}, "greater than 0"),
        ({"max_gradient_norm": 0}, "greater than 0"),
        ({"max_gradient_norm": math.nan}, "less than or equal to"),
    ],
)
def test_unknown_names_and_turning_norms_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        OptimiserConfig(**change)


@pytest.mark.parametrize("measure", get_args(DiversityMeasure))
def test_likeness_is_the_mean_over_pairs(measure: DiversityMeasure) -> None:
    actions = torch.randn((7, 4), generator=torch.Generator().manual_seed(0), dtype=torch.float64)

    def pair(a: Tensor, b: Tensor) -> float:
        return float(torch.cosine_similarity(a, b, dim=0) if measure == "cosine" else -(a - b).norm())

    pairs = [pair(actions[i], actions[j]) for i in range(7) for j in range(7) if i != j]
    assert float(likeness(actions, measure)) == pytest.approx(sum(pairs) / len(pairs))


@pytest.mark.parametrize("measure", get_args(DiversityMeasure))
@pytest.mark.parametrize("rows", [1, 2, 5])
def test_likeness_of_equal_actions_has_a_finite_gradient(measure: DiversityMeasure, rows: int) -> None:
    for value in (0.0, 0.5):
        actions = torch.full((rows, 3), value, requires_grad=True)
        (likeness(actions, measure) + 0 * actions.sum()).backward()
        assert actions.grad is not None
        assert actions.grad.isfinite().all()
