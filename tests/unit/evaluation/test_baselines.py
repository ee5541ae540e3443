"""Tuning: all candidates on the same validation steps, fit on training events alone."""

from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from unit.storage.dataset.transitions_support import arguments, some_histories, written

from evaluation import baselines
from evaluation.baselines import (
    BaselineParams,
    fit_baselines,
    training_data,
    tune_baselines,
    tuning_table,
    with_whole_histories,
)
from evaluation.protocols.cases import validation_cases
from evaluation.protocols.validation import CRITERION, validation_metrics
from models.baselines.entry import BaselineEntry
from models.baselines.markov import MarkovConfig
from models.baselines.popularity import PopularityConfig
from models.baselines.recency import Recency
from models.baselines.registry import BASELINES
from models.histories import Histories
from storage.dataset.reader import TransitionDataset
from storage.dataset.writer import write_transitions
from storage.errors import DatasetError

LENGTHS = [14, 9, 12, 15, 11, 8, 13, 9, 10, 16, 12, 12]
SMALL = {
    "names": ("popularity", "markov", "ease"),
    "grids": {
        "ease": {"last": (2, None), "regularisation": (5.0, 50.0), "min_count": (1,)},
        "markov": {"decay": (1.0, 0.5)},
    },
}


@pytest.fixture
def data(tmp_path: Path) -> TransitionDataset:
    return written(tmp_path, LENGTHS)


def test_registry_and_default_grids_fit_one_another() -> None:
    params = BaselineParams()
    assert set(BASELINES) - set(params.names) == {"biased-mf", "rbm", "fm"}, "they take long to tune"
    for name in BASELINES:
        fits, recencies = params.candidates(name)
        assert len(fits) * len(recencies) == np.prod([len(axis) for axis in BASELINES[name].grid.values()])
        assert all(not set(fit) & set(Recency.model_fields) for fit in fits)
        assert all(set(recency) <= set(Recency.model_fields) for recency in recencies)
    assert BaselineParams.model_validate(params.model_dump(mode="json")) == params


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"names": ("oracle",)}, "oracle"),
        ({"names": ()}, "at least 1"),
        ({"grids": {"oracle": {}}}, "oracle"),
        ({"grids": {"ease": {"lambda": (1.0,)}}}, "lambda"),
        ({"grids": {"ease": {"regularisation": (-1.0,)}}}, "greater than 0"),
        ({"grids": {"als": {"factors": ()}}}, "a value"),
    ],
)
def test_bad_grids_are_refused(change: dict[str, object], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        BaselineParams(**change)  # type: ignore[arg-type]


def test_the_best_candidate_on_validation_steps_is_chosen(data: TransitionDataset) -> None:
    params = BaselineParams(**SMALL)
    tuned = tune_baselines(data, params)
    cases = validation_cases(data, 2000, 0)
    assert set(data.user_split[cases.users.numpy()].tolist()) == {1}
    training = training_data(data, params.max_items)
    scores = {}
    for last, regularisation in product((2, None), (5.0, 50.0)):
        config = BASELINES["ease"].config(last=last, regularisation=regularisation, min_count=1)
        scorer = BASELINES["ease"].fit(config, training)
        scores[last, regularisation] = validation_metrics(data, scorer, cases)[CRITERION]
    last = max((2, None), key=lambda last: scores[last, 5.0])
    expected = {key: score for key, score in scores.items() if key[1] == 5.0 or key[0] == last}
    tried = tuned["ease"]
    found = {(one["config"]["last"], one["config"]["regularisation"]): one["validation"][CRITERION] for one in tried}
    assert found == expected
    assert len(set(scores.values())) == 4
    assert tried[0]["validation"][CRITERION] == max(expected.values())
    rows = {row["name"]: row for row in tuning_table(tuned)}
    assert list(rows) == ["popularity", "markov", "ease"]
    assert (rows["ease"]["tried"], rows["ease"]["worst"]) == (3, min(expected.values()))
    again = fit_baselines(data, {name: row["config"] for name, row in rows.items()}, params.max_items)
    for name, scorer in again.items():
        assert validation_metrics(data, scorer, cases) == rows[name]["validation"]


def test_each_fit_is_made_once(data: TransitionDataset, monkeypatch: pytest.MonkeyPatch) -> None:
    made = []

    def counting(config, training):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
        made.append(config.regularisation)
        return ease.fit(config, training)

    ease = BASELINES["ease"]
    counted = BaselineEntry("ease", ease.config, counting, summary="")
    monkeypatch.setattr(baselines, "BASELINES", {**BASELINES, "ease": counted})
    tune_baselines(data, BaselineParams(**SMALL))
    assert made == [5.0, 50.0]


def test_held_out_events_change_no_fit(tmp_path: Path) -> None:
    histories = some_histories(LENGTHS)
    split = arguments(histories)["split"]
    held_out = (np.repeat(split, LENGTHS) != 0) | (histories.timestamp > 900)
    assert 0 < (np.repeat(split, LENGTHS) == 0)[held_out].sum() < held_out.sum()
    probe = Histories(torch.tensor([[3, 1, 7], [-1, -1, 5]]), torch.zeros(2, 3))
    scores = []
    for name, item in (("a", histories.item), ("b", np.where(held_out, (histories.item + 7) % 20, histories.item))):
        (tmp_path / name).mkdir()
        changed = histories._replace(
            item=item.astype(np.int32), code=np.where(held_out, 1, histories.code).astype("u1")
        )
        write_transitions(tmp_path / name / "t.h5", [changed], **arguments(histories))
        data = TransitionDataset.open(tmp_path / name / "t.h5")
        fitted = fit_baselines(data, {name: {} for name in BASELINES} | {"ease": {"min_count": 1}}, max_items=100)
        scores.append({name: scorer.scores(probe) for name, scorer in fitted.items()})
    for name in BASELINES:
        assert torch.equal(scores[0][name], scores[1][name]), name


def test_nobody_to_tune_on_is_a_typed_error(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="found none"):
        tune_baselines(written(tmp_path, [9, 3, 9]), BaselineParams())


def test_whole_histories_weigh_alike(data: TransitionDataset) -> None:
    training = training_data(data, 100)
    tuned = BASELINES["markov"].fit(MarkovConfig(last=2, decay=0.5), training)
    whole = BASELINES["markov"].fit(MarkovConfig(last=None, decay=1.0), training)
    known = Histories(*data.histories(data.last_starts("test", 1)))
    assert torch.equal(with_whole_histories(tuned).scores(known), whole.scores(known))
    popular = BASELINES["popularity"].fit(PopularityConfig(), training)
    assert with_whole_histories(popular) is popular
