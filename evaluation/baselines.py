"""The baselines every report has beside the policies, fit on a dataset's training events."""

import torch

from models.baselines.ease import fit_ease
from models.baselines.popularity import Popularity
from models.histories import Scorer
from storage.transitions import TransitionDataset

BASELINES = ("popularity", "ease")


def baseline_scorers(data: TransitionDataset) -> dict[str, Scorer]:
    """Popularity, and EASE from the same frame of events that a policy sees."""
    users, items = data.training_events()
    popularity = Popularity(torch.bincount(items, minlength=data.items))
    return {"popularity": popularity, "ease": fit_ease(users, items, data.items, last=data.frame)}
