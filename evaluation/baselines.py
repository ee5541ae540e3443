"""The baselines every report has beside the policies, fit on a dataset's training events."""

import torch

from evaluation.ranking import Scorer
from models.baselines.ease import fit_ease
from models.baselines.popularity import Popularity
from storage.transitions import TransitionDataset

BASELINES = ("popularity", "ease")


def baseline_scorers(data: TransitionDataset) -> dict[str, Scorer]:
    """Popularity, and EASE from the same frame of events that a policy sees."""
    users, items = data.training_events()
    popularity = Popularity(torch.bincount(items, minlength=data.items))
    ease = fit_ease(users.cpu(), items.cpu(), data.items)
    return {
        "popularity": lambda data, starts: popularity.scores(len(starts)).to(data.item.device),
        "ease": lambda data, starts: ease.scores(data.frame_items(starts).cpu()).to(data.item.device),
    }
