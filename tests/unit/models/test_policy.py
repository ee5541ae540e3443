import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from models.autoencoder import fit_autoencoder
from models.errors import LearnerError
from models.histories import Histories
from models.networks import Actor, Critics
from models.policy import Policy


def test_round_trip_through_safetensors(tmp_path: Path) -> None:
    items = torch.randn(7, 4)
    policy = Policy(Actor(2 * 4 + 2, 4, 8, 1.5), items, "cosine")
    save_file(policy.tensors(), tmp_path / "p.safetensors")
    again = Policy.from_tensors(json.loads(json.dumps(policy.config())), load_file(tmp_path / "p.safetensors"), items)
    probe = Histories(torch.randint(7, (3, 5)), torch.randn(3, 5))
    assert policy.scores(probe).shape == (3, 7)
    assert torch.equal(policy.scores(probe), again.scores(probe))
    assert torch.equal(policy.scores(probe), policy.scores(probe.last(2)))
    with pytest.raises(LearnerError, match="2 events"):
        policy.scores(probe.last(1))
    with pytest.raises(LearnerError, match="format"):
        Policy.from_tensors({"format": "other"}, {}, items)
    with pytest.raises(LearnerError, match="fit its config"):
        Policy.from_tensors(policy.config() | {"hidden_dim": 9}, policy.tensors(), items)


def test_critics_order_the_unseen_items_nearest_to_the_action(tmp_path: Path) -> None:
    items = torch.randn(30, 4)
    actor, critics = Actor(2 * 4 + 2, 4, 8, 1.5), Critics(2, 2 * 4 + 2, 4, 8)
    plain, asked = Policy(actor, items, "cosine"), Policy(actor, items, "cosine", critics, 6)
    probe = Histories(torch.randint(30, (9, 5)), torch.randn(9, 5))
    before, after = plain.scores(probe), asked.scores(probe)
    state = plain.observations(probe)
    for row in range(9):
        fresh = torch.tensor([item for item in range(30) if item not in probe.items[row]])
        nearest = fresh[before[row, fresh].topk(6).indices]
        worth = critics(state[row].expand(6, -1), items[nearest]).amin(0)
        assert after[row, fresh].topk(6).indices.tolist() == [
            fresh.tolist().index(item) for item in nearest[worth.argsort(descending=True)].tolist()
        ]
        others = torch.tensor([item for item in range(30) if item not in nearest])
        assert torch.equal(before[row, others], after[row, others])
    actor.precision = critics.precision = "bfloat16"  # type: ignore[assignment]
    assert (asked.scores(probe) - plain.scores(probe)).count_nonzero(1).gt(2).all(), "near values were made equal"
    actor.precision = critics.precision = "float32"  # type: ignore[assignment]
    save_file(asked.tensors(), tmp_path / "p.safetensors")
    again = Policy.from_tensors(asked.config(), load_file(tmp_path / "p.safetensors"), items)
    assert torch.equal(again.scores(probe), after)
    assert plain.tensors().keys() < asked.tensors().keys()
    with pytest.raises(LearnerError, match="fit its config"):
        Policy.from_tensors(asked.config(), plain.tensors(), items)


def test_autoencoder_rebuilds_its_own_kind_negatives_included() -> None:
    generator = torch.Generator().manual_seed(0)
    basis = torch.randn((4, 20), generator=generator)
    real = torch.randn((800, 4), generator=generator) @ basis
    noise = torch.randn((200, 20), generator=generator) * 2
    autoencoder = fit_autoencoder(real[:600], latent_dim=6)
    assert autoencoder.errors(real[600:]).mean() < 0.25 * autoencoder.errors(noise).mean()
    assert (autoencoder(real) < 0).any()
    assert torch.equal(autoencoder.errors(real), fit_autoencoder(real[:600], latent_dim=6).errors(real))
