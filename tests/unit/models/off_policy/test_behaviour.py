import pytest
import torch

from models.errors import LearnerError
from models.off_policy.behaviour import LEAST_FLOOR, fit_behaviour, mixed
from models.off_policy.features import OF_HISTORY

WEIGHTS = torch.tensor([1.5, -0.7, 0.0])


def choices(steps: int, seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Features of very unlike scale, items seen, and choices drawn from a known logit."""
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn((steps, 30, OF_HISTORY + 3), generator=generator)
    seen = torch.rand((steps, 30), generator=generator) < 0.2
    utility = (features[..., OF_HISTORY:] @ WEIGHTS).masked_fill(seen, -torch.inf)
    chosen = torch.multinomial(utility.softmax(1), 1, generator=generator).squeeze(1)
    features[..., -2] *= 100
    return features, seen, chosen


def test_finds_the_weights_that_choices_were_drawn_with() -> None:
    found = fit_behaviour(*choices(4000, 0))
    assert torch.allclose(found.weights * torch.tensor([1, 100, 1]), WEIGHTS, atol=0.08)
    assert found.floor < 0.05


def test_probabilities_are_those_of_unseen_items_and_calibrated() -> None:
    behaviour = fit_behaviour(*choices(3000, 1))
    features, seen, chosen = choices(3000, 2)
    share = behaviour.log_probabilities(features, seen).exp()
    assert torch.allclose(share.sum(1), torch.ones(3000), atol=1e-5)
    assert (share[seen] == 0).all()
    assert (share[~seen] >= LEAST_FLOOR / 30 - 1e-9).all()
    likely = share > 0.2
    taken = torch.nn.functional.one_hot(chosen, 30).bool()
    assert float(share[likely].mean()) == pytest.approx(float(taken[likely].float().mean()), abs=0.02)


def test_choices_by_chance_are_left_to_the_floor() -> None:
    features, seen, _ = choices(2000, 3)
    chosen = torch.multinomial((~seen).float(), 1, generator=torch.Generator().manual_seed(4)).squeeze(1)
    share = fit_behaviour(features, seen, chosen).log_probabilities(features, seen).exp()
    assert float(share[~seen].max()) < 2 / float((~seen).sum(1).float().mean())


def test_a_mixture_of_one_item_is_that_item() -> None:
    assert mixed(torch.tensor([[-torch.inf, 3.0]]), 0.1).exp().tolist() == [[0, 1]]


def test_refuses_steps_that_chose_what_was_seen() -> None:
    features, seen, chosen = choices(5, 5)
    seen[2, chosen[2]] = True
    with pytest.raises(LearnerError, match="not rated before"):
        fit_behaviour(features, seen, chosen)
    with pytest.raises(LearnerError, match="found none"):
        fit_behaviour(features[:0], seen[:0], chosen[:0])
