from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from unit.models.baselines.baselines_support import PROBES, histories, some_training, weights_of

from models.baselines.als import AlsConfig, fit_als
from models.baselines.biased_mf import BiasedMfConfig, fit_biased_mf
from models.baselines.collaborative import CollaborativeConfig, fit_collaborative
from models.baselines.content import ContentConfig, fit_content
from models.baselines.ease import EaseConfig, fit_ease
from models.baselines.fm import FmConfig, fit_fm
from models.baselines.item_knn import ItemKnnConfig, fit_item_knn
from models.baselines.markov import MarkovConfig, fit_markov
from models.baselines.popularity import PopularityConfig, fit_popularity
from models.baselines.rbm import RbmConfig, fit_rbm
from models.baselines.recency import Recency
from models.baselines.training import TrainingData
from models.errors import LearnerError
from models.histories import Histories

FITS = [
    (fit_popularity, PopularityConfig()), (fit_popularity, PopularityConfig(share=0.3)), (fit_markov, MarkovConfig()),
    (fit_content, ContentConfig()), (fit_collaborative, CollaborativeConfig(factors=3)),
    (fit_item_knn, ItemKnnConfig(neighbours=4)), (fit_als, AlsConfig(factors=4)), (fit_ease, EaseConfig(min_count=1)),
    (fit_rbm, RbmConfig(hidden=4, epochs=3, min_count=1)), (fit_biased_mf, BiasedMfConfig(factors=4, epochs=3)),
    (fit_fm, FmConfig(factors=4, epochs=3)),
]  # fmt: skip
every_baseline = pytest.mark.parametrize(("fit", "config"), FITS, ids=lambda value: getattr(value, "__name__", ""))


@given(
    rows=st.lists(st.lists(st.integers(0, 4), max_size=6), min_size=1, max_size=4).filter(any),
    last=st.none() | st.integers(1, 7),
    decay=st.sampled_from([1.0, 0.5]),
)
def test_weights_equal_their_definition(rows: list[list[int]], last: int | None, decay: float) -> None:
    recency = Recency(last=last, decay=decay)
    got = recency.weights(histories(*rows), catalogue=5)
    for row, weights in zip(rows, got, strict=True):
        expected = weights_of(row, recency)
        assert weights.tolist() == [expected.get(item, 0.0) for item in range(5)]


@every_baseline
def test_scores_are_finite_repeatable_and_blind_to_padding(fit, config) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
    data = some_training()
    scorer = fit(config, data)
    probe = histories(*PROBES)
    scores = scorer.scores(probe)
    assert scores.shape == (4, 12)
    assert scores.dtype == torch.float32
    assert scores.isfinite().all()
    assert torch.equal(scores, fit(config, some_training()).scores(probe))
    padding = torch.full((4, 5), -1)
    longer = Histories(torch.cat((padding, probe.items), 1), torch.cat((padding * 0.0, probe.rewards), 1))
    assert torch.equal(scorer.scores(longer), scores)
    for row, one in zip(PROBES[:3], scores, strict=False):
        torch.testing.assert_close(scorer.scores(histories(row))[0], one)


@every_baseline
def test_recency_is_no_part_of_the_fit(fit, config) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
    if not isinstance(config, Recency):
        return
    data, other = some_training(), Recency(last=2, decay=0.5)
    refitted = fit(config.model_copy(update={"last": 2, "decay": 0.5}), data)
    probe = histories(*PROBES)
    assert torch.equal(replace(fit(config, data), recency=other).scores(probe), refitted.scores(probe))


@every_baseline
def test_items_without_events_score_nothing_unless_by_content(fit, config) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
    scores = fit(config, some_training()).scores(histories([3, 1, 11], [2]))
    assert scores[:, :10].any(dim=1).all()
    assert scores[:, 10:].any() == (fit in (fit_content, fit_fm))


def test_nothing_to_fit_is_a_typed_error() -> None:
    empty = torch.zeros(0, dtype=torch.int64)
    with pytest.raises(LearnerError, match="found none"):
        TrainingData(empty, empty, empty.float(), empty, torch.zeros(3, 2))
