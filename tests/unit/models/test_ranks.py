"""Two processes that train together learn what one process learns from the whole batch, for every learner."""

from pathlib import Path
from typing import Any

import pytest
import torch
import unit.models.ranks_support as ranks
from torch import Tensor
from unit.models.same_support import assert_same


@pytest.fixture(scope="module")
def of_one() -> dict[str, Any]:
    return {name: ranks.trained(name) for name in ranks.RESUMED}


@pytest.fixture(scope="module")
def of_two(tmp_path_factory: pytest.TempPathFactory, of_one: dict[str, Any]) -> list[dict[str, Any]]:
    folder: Path = tmp_path_factory.mktemp("ranks")
    torch.save({name: found["checkpoint"] for name, found in of_one.items()}, folder / "of-one.pt")
    torch.multiprocessing.spawn(ranks.train_on_ranks, (folder,), nprocs=ranks.RANKS)
    return [torch.load(folder / f"rank-{rank}.pt", weights_only=True) for rank in range(ranks.RANKS)]


def need_close(found: list[Tensor], expected: list[Tensor]) -> None:
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("name", ranks.NAMES)
def test_two_ranks_learn_as_one_process(name: str, of_two: list[dict[str, Any]]) -> None:
    metrics, weights = ranks.updated(name)
    found, of_weights = of_two[0]["updated"][name]
    assert found == pytest.approx(metrics, rel=1e-9, abs=1e-11)
    need_close(of_weights, weights)
    assert any(not torch.equal(moved, begun) for moved, begun in zip(weights, begin_of(name), strict=True))


def begin_of(name: str) -> list[Tensor]:
    return ranks.weights_of(ranks.learner_named(name))


def test_each_rank_applies_a_network_to_its_rows_and_ends_with_the_same_bits(of_two: list[dict[str, Any]]) -> None:
    assert [set(found["rows"]) for found in of_two] == [{3}, {4}]
    assert set(ranks.rows_seen()) == {7}
    assert_same(*({part: value for part, value in found.items() if part != "rows"} for found in of_two))


@pytest.mark.parametrize("name", ranks.RESUMED)
def test_checkpoints_resume_on_another_number_of_ranks(
    name: str, of_one: dict[str, Any], of_two: list[dict[str, Any]]
) -> None:
    whole = of_one[name]
    from_two = ranks.trained(name, of_two[0]["trained"][name]["checkpoint"])
    for found in (of_two[0]["trained"][name], of_two[0]["resumed"][name], from_two):
        need_close(found["weights"], whole["weights"])
        assert [row[:3] for row in found["rows"]] == [row[:3] for row in map(tuple, whole["rows"])]
        assert [row[3] for row in found["rows"]] == pytest.approx([row[3] for row in whole["rows"]], rel=1e-9)
