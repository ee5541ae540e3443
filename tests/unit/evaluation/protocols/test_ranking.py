import numpy as np
import pytest
import torch
from torch import Tensor

from evaluation.protocols.cases import Cases, fold_in_cases, mult_vae_cases, next_item_cases
from evaluation.protocols.ranking import BATCH, rank_cases, rankings_table
from models.errors import LearnerError
from models.histories import Histories
from storage.dataset.reader import TransitionDataset


class Listed:
    """Scores (T, I) drawn up beforehand, found again by the history they are for."""

    def __init__(self, data: TransitionDataset, cases: Cases, table: Tensor) -> None:
        self.table = table
        known = cases.histories(data, torch.arange(len(cases))).items
        self.row = {key(row): place for place, row in enumerate(known)}

    def scores(self, histories: Histories) -> Tensor:
        return self.table[[self.row[key(row)] for row in histories.items]]


def key(items: Tensor) -> tuple[int, ...]:
    return tuple(items[items >= 0].tolist())


def all_cases(data: TransitionDataset, protocol: str) -> Cases:
    if protocol == "next-item":
        return next_item_cases(data, "all", 100)
    return fold_in_cases(data, "all", 0.5) if protocol == "fold-in" else mult_vae_cases(data, "all")


@pytest.mark.parametrize("values", [1, 5, 10_000])  # from nothing but ties to few
@pytest.mark.parametrize("protocol", ["next-item", "fold-in", "mult-vae"])
def test_ranks_equal_a_plain_loop(data: TransitionDataset, protocol: str, values: int) -> None:
    cases = all_cases(data, protocol)
    assert len(cases) > (2 * BATCH if protocol == "next-item" else 20)
    generator = torch.Generator().manual_seed(1)
    table = torch.randint(0, values, (len(cases), data.items), generator=generator).float()
    untouched = table.clone()
    listed = Listed(data, cases, table)
    ranked = rank_cases(data, listed, cases, depth=12)
    assert torch.equal(table, untouched)
    events, offset = cases.target_events()
    assert ranked.offset.tolist() == offset.tolist()
    known = cases.histories(data, torch.arange(len(cases))).items
    for row in range(len(cases)):
        targets = data.item[events[offset[row] : offset[row + 1]]].tolist()
        scores = table[listed.row[key(known[row])]]
        unseen = set(range(data.items)) - (set(known[row].tolist()) - set(targets))
        order = sorted(unseen, key=lambda item: (-scores[item].item(), item))
        found = slice(ranked.offset[row], ranked.offset[row + 1])
        assert ranked.items[found].tolist() == targets
        assert ranked.ranks[found].tolist() == [order.index(target) for target in targets]
        assert ranked.best[row].tolist() == (order + [-1] * 12)[:12]


def test_a_method_that_gives_nan_is_not_ranked(data: TransitionDataset) -> None:
    cases = next_item_cases(data, "test", 2)
    with pytest.raises(LearnerError, match="NaN"):
        rank_cases(data, Listed(data, cases, torch.full((len(cases), data.items), torch.nan)), cases)


def test_the_table_says_what_was_asked_and_answered_in_outside_ids(data: TransitionDataset) -> None:
    cases = fold_in_cases(data, "test", 0.9)
    generator = torch.Generator().manual_seed(2)
    ranked = rank_cases(data, Listed(data, cases, torch.rand(len(cases), data.items, generator=generator)), cases)
    table = rankings_table(data, cases, ranked, "drawn").to_pylist()
    events, offset = cases.target_events()
    for row, line in enumerate(table):
        targets = events[offset[row] : offset[row + 1]]
        user = int(cases.users[row])
        assert (line["method"], line["protocol"], line["split"]) == ("drawn", "fold-in", "test")
        assert line["user_id"] == data.user_ids[user]
        assert line["step"] + len(targets) == int(data.offset[user + 1] - data.offset[user])
        assert line["target_movie_ids"] == [10 * int(data.item[event]) for event in targets]
        assert line["rating"] == [data.rating(int(event)) for event in targets]
        top = line["top_movie_ids"]
        for target, rank in zip(line["target_movie_ids"], line["rank"], strict=True):
            assert top[rank] == target
        assert len(top) == data.items
        assert None not in top[: line["rank"][0] + 1]
    assert any(None in line["top_movie_ids"] for line in table)
    assert np.isin([line["user_id"] for line in table], data.user_ids[data.user_split == 2]).all()
