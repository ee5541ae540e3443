import pytest
import torch

from models.errors import LearnerError
from models.histories import Histories
from models.translated import Translated


class Heard:
    """Scores that are item indices, and what it was asked."""

    def scores(self, histories: Histories) -> torch.Tensor:
        self.asked = histories
        return torch.arange(5.0).expand(len(histories.items), 5).clone()


OWN = torch.tensor([3, -1, 0, 4])  # ours 0, 2, 3 are its 3, 0, 4


def asked(items: list[list[int]], shortest: int = 2) -> tuple[Histories, torch.Tensor]:
    heard = Heard()
    known = torch.tensor(items)
    rewards = torch.where(known >= 0, torch.arange(1.0, known.shape[1] + 1), 0.0)
    scores = Translated(heard, OWN, shortest).scores(Histories(known, rewards))
    return heard.asked, scores


def test_histories_are_told_in_its_items_and_scores_in_ours() -> None:
    told, scores = asked([[0, 2, 3]])
    assert told.items.tolist() == [[3, 0, 4]]
    assert told.rewards.tolist() == [[1, 2, 3]]
    assert scores.tolist() == [[3, -1, 0, 4]]  # the unknown item below the least


def test_unknown_events_are_left_out_and_order_is_kept() -> None:
    told, _ = asked([[0, 1, 2], [1, 0, 1], [-1, 3, 2]])
    assert told.items.tolist() == [[-1, 3, 0], [-1, 3, 3], [-1, 4, 0]]
    assert told.rewards.tolist() == [[0, 1, 3], [0, 2, 2], [0, 2, 3]]


def test_short_histories_are_filled_to_what_it_needs() -> None:
    told, _ = asked([[1, 2]], shortest=4)
    assert told.items.tolist() == [[0, 0, 0, 0]]
    assert told.rewards.tolist() == [[2, 2, 2, 2]]


def test_of_a_history_it_knows_nothing_of_it_says_nothing() -> None:
    told, scores = asked([[1, 1], [0, 0]])
    assert scores[0].tolist() == [0, 0, 0, 0]
    assert scores[1].tolist() == [3, -1, 0, 4]
    assert told.items.min() >= 0


def test_a_policy_of_another_world_is_refused() -> None:
    with pytest.raises(LearnerError, match="found none of them in it"):
        Translated(Heard(), torch.tensor([-1, -1]), 1)
