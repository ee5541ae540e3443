import json

import numpy as np
import pytest
import torch
from torch.nn.functional import relu
from unit.evaluation.report.sections.sections_support import as_json, drawn, rendered

from evaluation.protocols.distances import Acting
from evaluation.report.sections.actions.charts import draw
from evaluation.report.sections.actions.numbers import (
    IN_MATRICES,
    PAIRS,
    SETS,
    ActionsSection,
    measure_actions,
    reconstructed,
    spread,
)
from models.autoencoder import fit_autoencoder
from models.histories import Histories
from storage.dataset.reader import TransitionDataset
from storage.errors import DatasetError


class Latest:
    """Acts as the latest item."""

    def __init__(self, embedding: torch.Tensor) -> None:
        self.embedding = embedding

    def act(self, histories: Histories) -> torch.Tensor:
        return self.embedding[histories.items[:, -1]]


class Always:
    """Answers everybody with the same action."""

    def __init__(self, action: torch.Tensor) -> None:
        self.action = action

    def act(self, histories: Histories) -> torch.Tensor:
        return self.action.repeat(len(histories.items), 1)


def policies(data: TransitionDataset) -> dict[str, Acting]:
    return {
        "latest": Latest(data.embedding),
        "always": Always(data.embedding[3]),
        "far": Always(torch.full((data.dim,), 40.0)),
    }


@pytest.fixture
def section(data: TransitionDataset) -> ActionsSection:
    return measure_actions(data, policies(data), sample=60)


def test_who_acts_alike_lies_together_and_who_acts_as_users_do_lies_as_they_do(section: ActionsSection) -> None:
    latest, always, far = section.policies
    for kind in ("cosine", "euclidean"):
        assert always.distances[kind].pairs["test-test"].moments.mean == pytest.approx(0, abs=1e-6)
        assert always.distances[kind].pairs["test-test"].moments.skew is None
        real = latest.distances[kind].pairs["real-real"].moments
        assert real == always.distances[kind].pairs["real-real"].moments
        assert latest.distances[kind].pairs["test-test"].moments.mean == pytest.approx(real.mean, rel=0.25)
    assert far.errors["test"].moments.mean > 10 * far.errors["real"].moments.mean
    assert far.errors["test"].kl_from["real"] > latest.errors["test"].kl_from["real"]
    assert far.errors["test"].wasserstein_to["real"] == pytest.approx(
        far.errors["test"].moments.mean - far.errors["real"].moments.mean, rel=1e-6
    )


def test_pairs_and_sets_are_complete_and_as_many_as_said(section: ActionsSection) -> None:
    test = section.rows["test"]
    assert section.rows == {"real": test, "train": 60, "test": test, "noise": test}
    for policy in section.policies:
        assert tuple(policy.errors) == SETS
        for name, errors in policy.errors.items():
            assert errors.moments.count == section.rows[name]
            assert set(errors.kl_from) == set(errors.wasserstein_to) == set(SETS) - {name}
            assert len(errors.density) == len(section.grids["error"])
        for kind, distances in policy.distances.items():
            assert tuple(distances.pairs) == PAIRS
            assert distances.pairs["test-test"].moments.count == test * (test - 1) // 2
            assert distances.pairs["real-test"].moments.count == test * test
            for found in distances.pairs.values():
                assert len(found.density) == len(section.grids[kind])


def test_matrices_hold_rows_of_each_set_in_turn(section: ActionsSection) -> None:
    rows = sum(min(24, section.rows[name]) for name in IN_MATRICES)
    for policy in section.policies:
        for distances in policy.distances.values():
            matrix = np.array(distances.matrix)
            assert matrix.shape == (rows, rows)
            np.testing.assert_allclose(matrix, matrix.T)
            np.testing.assert_allclose(np.diag(matrix), 0, atol=1e-4)
    always = np.array(section.policies[1].distances["euclidean"].matrix)
    assert (always[24:, 24:] == 0).all()
    assert always[:24, :24].max() > 0


def test_rows_are_spread_evenly() -> None:
    rows = np.arange(100, dtype=np.float32).reshape(100, 1)
    assert spread(rows, 4).ravel().tolist() == [0, 33, 66, 99]
    assert len(spread(rows, 500)) == 100


def test_equal_seeds_give_equal_sections(data: TransitionDataset, section: ActionsSection) -> None:
    assert measure_actions(data, policies(data), sample=60) == section
    assert measure_actions(data, policies(data), sample=60, seed=1) != section


def test_json_holds_only_numbers_and_makes_the_same_section_again(section: ActionsSection) -> None:
    assert ActionsSection.model_validate(json.loads(as_json(section))) == section


def test_the_order_of_keys_does_not_matter_to_the_charts(section: ActionsSection) -> None:
    again = ActionsSection.model_validate(json.loads(json.dumps(section.model_dump(), sort_keys=True)))
    assert draw(again) == draw(section)


def test_one_user_one_action(data: TransitionDataset) -> None:
    section = measure_actions(data, {"latest": Latest(data.embedding), "zero": Always(torch.zeros(4))}, sample=1)
    as_json(section)
    pairs = section.policies[0].distances["cosine"].pairs
    assert (pairs["test-test"].moments.mean, pairs["test-test"].density) == (None, ())
    assert section.policies[1].distances["cosine"].pairs["real-test"].moments.mean == 1  # zero has no direction
    drawn(draw(section))
    rendered("actions", section, draw(section))


def test_without_held_out_users_that_is_said(data: TransitionDataset) -> None:
    data.head.user_split[:] = 0
    with pytest.raises(DatasetError, match="held-out"):
        measure_actions(data, policies(data))


def test_without_test_users_validation_users_are_taken(data: TransitionDataset) -> None:
    data.head.user_split[data.head.user_split == 2] = 0
    assert measure_actions(data, {}, sample=20).held_out == "validation"


def test_an_autoencoder_rebuilds_negatives_unless_it_ends_in_a_relu() -> None:
    generator = torch.Generator().manual_seed(0)
    actions = torch.randn(1200, 4, generator=generator) @ torch.randn(4, 24, generator=generator)
    autoencoder = fit_autoencoder(actions[:800], latent_dim=4)
    variance, negatives = reconstructed(autoencoder, actions[800:])
    assert variance is not None
    assert variance > 0.9
    assert negatives is not None
    assert negatives > 0.9
    autoencoder.layers.append(torch.nn.ReLU())
    assert reconstructed(autoencoder, actions[800:])[1] == 0
    assert reconstructed(autoencoder, relu(actions[:1]).repeat(5, 1)) == (None, None)


def test_charts_are_drawn_and_small_with_many_policies(section: ActionsSection) -> None:
    many = section.model_copy(
        update={
            "policies": tuple(
                section.policies[place % 3].model_copy(update={"policy": f"policy {place}"}) for place in range(9)
            )
        }
    )
    found = draw(many)
    assert [name for name, *_ in found] == ["action-matrices", "action-cosine", "action-euclidean", "action-errors"]
    drawn(found)
    assert len(json.dumps([spec for *_, spec in found])) < 1_000_000
    page = rendered("actions", many, found)
    for name, *_ in found:
        assert f'id="chart-{name}"' in page
    assert page.count("<details>") == 9


def test_no_policies_no_charts(data: TransitionDataset) -> None:
    assert draw(measure_actions(data, {}, sample=20)) == []
