"""Which items are re-ranked."""

import pytest
import torch

from models.wolpertinger import best_unseen


@pytest.mark.parametrize("items", [40, 3000])
def test_the_best_unseen_items_are_those_of_a_sort(items: int) -> None:
    generator = torch.Generator().manual_seed(items)
    scores = torch.randn((5, items), generator=generator)
    seen = torch.randint(-1, items, (5, 30), generator=generator)
    before = scores.clone()
    found = best_unseen(scores, seen, 10)
    assert torch.equal(scores, before)
    for row, (own, known) in enumerate(zip(scores.tolist(), seen.tolist(), strict=True)):
        left = [item for item in sorted(range(items), key=lambda item: -own[item]) if item not in known]
        assert found.items[row].tolist() == left[:10]
        assert found.scores[row].tolist() == [own[item] for item in left[:10]]
    assert found.unseen.all()


def test_seen_items_fill_up_what_too_few_unseen_ones_leave() -> None:
    scores = torch.tensor([[3.0, 2.0, 1.0], [1.0, 2.0, 3.0]])
    found = best_unseen(scores, torch.tensor([[0, 2], [-1, -1]]), 5)
    assert found.unseen.tolist() == [[True, False, False], [True] * 3]
    assert found.items[0, 0] == 1
    assert found.items[1].tolist() == [2, 1, 0]
    assert torch.equal(scores.gather(1, found.items), found.scores)
