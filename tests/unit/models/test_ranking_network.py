"""The network that re-ranks the items nearest to an action."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from pydantic import ValidationError
from safetensors.torch import load, save

from models.histories import Histories
from models.learners.td3_bc import TD3BCConfig
from models.networks import Actor, Critics
from models.policy import Policy
from models.policy_formats import policy_from
from models.ranker_training import ranking_loss, train_ranker
from models.ranking_network import RankerConfig, RankingNetwork

GENERATOR = torch.Generator().manual_seed(3)
ITEMS = torch.randn((30, 4), generator=GENERATOR)


def policy() -> Policy:
    return Policy(Actor(2 * 4 + 2, 4, 8, 1.5), ITEMS, "cosine")


def histories(rows: int) -> Histories:
    return Histories(torch.randint(30, (rows, 5)), torch.randn(rows, 5))


def test_training_begins_with_the_order_by_nearness() -> None:
    plain, probe = policy(), histories(6)
    before = plain.scores(probe)
    plain.re_rank_by(RankingNetwork(10, 4, 8), 12)
    after = plain.scores(probe)
    seen = torch.zeros(6, 31, dtype=torch.bool).scatter_(1, probe.items, True)[:, :30]
    order = [scores.masked_fill(seen, -9.0).argsort(dim=1, descending=True)[:, :12] for scores in (before, after)]
    assert (order[0] == order[1]).float().mean() > 0.9


Parts = list[NDArray[np.float64]]


def written(parts: Parts, asked: Policy, probe: Histories, items: torch.Tensor, k: int) -> float:
    """The loss, user by user, in float64, of a network's parameters."""
    of_nearness, *layers = parts
    weights, biases = [part[0] for part in layers[:4]], [part[0] for part in layers[4:]]
    losses = []
    for row in range(len(items)):
        last, rewards = probe.items[row, -2:], probe.rewards[row, -2:]
        state = np.concatenate([ITEMS[last].double().numpy().ravel(), rewards.double().numpy()])
        action = asked.act(Histories(probe.items[row : row + 1], probe.rewards[row : row + 1]))[0].double().numpy()
        unit = ITEMS.double().numpy() / np.linalg.norm(ITEMS.double().numpy(), axis=1, keepdims=True)
        near = unit @ (action / np.linalg.norm(action))
        fresh = [item for item in range(30) if item not in probe.items[row].tolist()]
        best = sorted(fresh, key=lambda item: -near[item])[:k]
        if int(items[row]) not in best:
            continue
        nearness = (near[best] - near[best].mean()) / near[best].std(ddof=1)
        hidden = (
            np.concatenate([state, action])[None] @ weights[0] + ITEMS[best].double().numpy() @ weights[1] + biases[0]
        )
        hidden = np.maximum(np.maximum(hidden, 0) @ weights[2] + biases[1], 0)
        logits = of_nearness * nearness + (hidden @ weights[3] + biases[2])[:, 0]
        losses.append(np.log(np.exp(logits).sum()) - logits[best.index(int(items[row]))])
    return float(np.mean(losses))


def test_loss_and_gradients_agree_with_a_computation_user_by_user() -> None:
    asked, probe, network = policy(), histories(40), RankingNetwork(10, 4, 8)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    items = torch.randint(30, (40,))
    loss, found = ranking_loss(network, asked, probe, items, 10)
    assert 0 < float(found) < 1
    parts: Parts = [part.detach().double().numpy().copy() for part in network.parameters()]
    assert loss.item() == pytest.approx(written(parts, asked, probe, items, 10), rel=1e-5)
    loss.backward()
    for parameter, part in zip(network.parameters(), parts, strict=True):
        assert parameter.grad is not None
        place = int(parameter.grad.abs().argmax())
        kept, ends = part.flat[place], []
        for step in (1e-6, -1e-6):
            part.flat[place] = kept + step
            ends.append(written(parts, asked, probe, items, 10))
        part.flat[place] = kept
        assert parameter.grad.view(-1)[place].item() == pytest.approx((ends[0] - ends[1]) / 2e-6, rel=1e-3, abs=1e-6)
    nothing = ranking_loss(network, asked, probe, probe.items[:, -1], 10)  # seen items are no candidates
    assert [one.item() for one in nothing] == [0.0, 0.0]


def test_it_learns_what_nearness_does_not_say_and_comes_back_from_its_file() -> None:
    asked = policy()

    def draw() -> tuple[Histories, torch.Tensor]:
        """Users who choose the candidate with the largest first coordinate."""
        probe = histories(64)
        near = asked.nearest.scores(asked.act(probe)).scatter(1, probe.items, -torch.inf)
        best = near.topk(8).indices
        return probe, best.gather(1, ITEMS[best][:, :, 0].argmax(1, keepdim=True)).squeeze(1)

    probe, chosen = draw()

    def hits() -> float:
        scores = asked.scores(probe).scatter(1, probe.items, -torch.inf)
        return float((scores.argmax(1) == chosen).float().mean())

    before = hits()
    trained = train_ranker(asked, RankerConfig(candidates=8, steps=150, learning_rate=0.01), draw, seed=0)
    assert trained.found == 1.0
    assert before < 0.5
    assert hits() > 0.8
    again = policy_from(asked.config(), load(save(asked.tensors())), ITEMS)
    assert torch.equal(again.scores(probe), asked.scores(probe))


def test_one_of_both_re_ranks() -> None:
    with pytest.raises(ValidationError, match="one of them re-ranks"):
        TD3BCConfig(critic_candidates=5, ranker=RankerConfig(candidates=5))
    both = Policy(Actor(10, 4, 8, 1.5), ITEMS, "cosine", Critics(2, 10, 4, 8), 5)
    with pytest.raises(ValueError, match="no ranking network"):
        policy_from(both.config() | {"ranker_candidates": 5}, both.tensors(), ITEMS)
