"""The filters of a question: genres and years."""

import torch
from torch import Tensor

from serving.asking import Question
from serving.catalogue import Catalogue


def allowed_items(catalogue: Catalogue, question: Question) -> Tensor | None:
    """The items that pass a question's filters, (I,) bool; None without filters."""
    allowed = None
    if question.genres:
        allowed = torch.zeros(len(catalogue), dtype=torch.bool)
        for name in question.genres:
            mask = catalogue.genre_masks.get(name.casefold())
            allowed = allowed if mask is None else allowed | mask
    if question.year_from is not None or question.year_to is not None:
        years = torch.from_numpy(catalogue.years)
        inside = (years >= max(question.year_from or 0, 1)) & (
            years <= (9999 if question.year_to is None else question.year_to)
        )
        allowed = inside if allowed is None else allowed & inside
    return allowed
