import torch

from models.baselines.training import TrainingData
from models.histories import Histories
from models.off_policy.features import NAMES, OF_HISTORY, FeatureConfig, Features

USERS, ITEMS, EACH = 120, 40, 24


def two_camps() -> TrainingData:
    """Half of the users like even items by two rewards more than odd ones, the others the reverse; item 0 is liked by all."""
    generator = torch.Generator().manual_seed(0)
    items = torch.stack([torch.randperm(ITEMS - 1, generator=generator)[:EACH] for _ in range(USERS)]).flatten()
    users = torch.arange(USERS).repeat_interleave(EACH)
    sign = torch.where((users % 2 == 0) == (items % 2 == 0), 1.0, -1.0)
    rewards = sign + 3.0 * (items == 0) + 0.3 * torch.randn(len(users), generator=generator)
    embedding = torch.randn((ITEMS, 6), generator=generator)
    return TrainingData(users, items, rewards, torch.arange(len(users)), embedding, 100)


def of(features: Features, items: list[list[int]], rewards: list[list[float]]) -> dict[str, torch.Tensor]:
    found = features.of(Histories(torch.tensor(items), torch.tensor(rewards)))
    assert found.shape == (len(items), ITEMS, len(NAMES))
    assert bool(found.isfinite().all())
    return {name: found[..., place] for place, name in enumerate(NAMES)}


def test_ratings_tell_a_new_users_taste_and_an_items_quality() -> None:
    features = Features(FeatureConfig(factors=2, regularisation=1.0), two_camps())
    even = of(features, [[2, 4, 7, 9]], [[1.0, 1.0, -1.0, -1.0]])["taste"][0]
    odd = of(features, [[2, 4, 7, 9]], [[-1.0, -1.0, 1.0, 1.0]])["taste"][0]
    for place in (10, 11, 20, 21):
        assert (even[place] > 0.4) == (place % 2 == 0)
        assert (odd[place] > 0.4) == (place % 2 == 1)
    quality = of(features, [[2]], [[1.0]])["quality"][0]
    assert quality.argmax() == 0
    assert quality[ITEMS - 1] == 0  # nobody rated it


def test_filling_up_changes_nothing() -> None:
    features = Features(FeatureConfig(), two_camps())
    short = of(features, [[3, 8]], [[2.0, -1.0]])
    long = of(features, [[-1, -1, -1, 3, 8], [1, 2, 3, 4, 5]], [[0, 0, 0, 2.0, -1.0], [1.0] * 5])
    for name in NAMES:
        assert torch.allclose(short[name][0], long[name][0], atol=1e-5), name


def test_likeness_is_to_the_last_three_and_all() -> None:
    data = two_camps()
    features = Features(FeatureConfig(), data)
    found = of(features, [[5, 6, 7, 8]], [[1.0] * 4])
    unit = torch.nn.functional.normalize(data.embedding, dim=1)
    assert torch.allclose(found["like the last"][0], unit @ unit[[6, 7, 8]].mean(0), atol=1e-5)
    assert torch.allclose(found["like the history"][0], unit @ unit[[5, 6, 7, 8]].mean(0), atol=1e-5)


def test_the_first_features_are_the_historys_own_and_a_fit_is_repeatable() -> None:
    first, second = (Features(FeatureConfig(), two_camps(), seed=3) for _ in range(2))
    history = Histories(torch.tensor([[1, 2, 30], [4, 5, 6]]), torch.tensor([[1.0, 2, 3], [0, 0, 1]]))
    found = first.of(history)
    assert torch.equal(found, second.of(history))
    assert (found[..., :OF_HISTORY] == found[:, :1, :OF_HISTORY]).all()
    assert (found[0, :, OF_HISTORY:] != found[0, :1, OF_HISTORY:]).any(0).all()


def test_what_goes_and_follows_together_is_learnt_from_who_had_what() -> None:
    """Users have either the first or the second half of the items, each in ascending order."""
    users = torch.arange(60).repeat_interleave(10)
    items = (torch.arange(10).repeat(60) * 2) % 20 + 20 * (users % 2)
    data = TrainingData(users, items, torch.zeros(600), torch.arange(600), torch.eye(40), 100)
    found = of(Features(FeatureConfig(), data), [[0, 2, 4]], [[0.0] * 3])
    for name in ("goes with", "follows"):
        assert found[name][0, 6] > found[name][0, 26] + 0.5
    assert found["follows"][0, 6] > found["follows"][0, 16]
    assert found["goes with"][0, 26] == found["goes with"][0, 7]  # nobody had it with these, nobody had it at all


def test_one_user_of_few_events_is_enough_to_fit() -> None:
    data = TrainingData(
        torch.zeros(3, dtype=torch.int64), torch.arange(3), torch.ones(3), torch.arange(3), torch.eye(40), 100
    )
    of(Features(FeatureConfig(), data), [[0, 1]], [[1.0, 1.0]])
