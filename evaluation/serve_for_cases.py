"""The question that each set of cases asks, and the cases of validation users on which a policy's weights for it are tuned."""

from typing import NamedTuple

import torch

from evaluation.baselines import training_data
from evaluation.protocols.cases import Cases, at_most, fold_in_cases, mult_vae_cases, validation_cases
from models.fitted_terms import LogCounts, counts_of
from models.serve_for import ServeFor
from storage.dataset.reader import TransitionDataset

FOLD_IN_SHARES = (0.8, 0.7, 0.6)  # of a history that is known; several, because each gives a user one case
MULT_VAE_DRAWS = 4  # of a random fifth of a user's liked items
ORIGINS = (0.4, 0.5, 0.6, 0.7, 0.8, 0.9)  # shares of the training events, in time order, that come before


class Asked(NamedTuple):
    """Cases, and how often items had been rated when the policy would have answered them."""

    cases: Cases
    known: LogCounts


def serve_for_of(cases: Cases) -> ServeFor:
    """The question that a set of cases asks."""
    if cases.split == "time":
        return "new"
    if cases.protocol == "mult-vae":
        return "liked"
    return "later" if cases.protocol == "fold-in" else "next"


def asked_of_validation_users(
    dataset: TransitionDataset, question: ServeFor, known: LogCounts, most: int, seed: int
) -> list[Asked]:
    """The cases of validation users that ask a question, all before the time cut.

    Args:
        dataset: of the cases.
        question: `new` asks for next items after each of several origins in time, of a policy that knows the training events
            before the origin: this is how the split by time asks after the time cut.
        known: how often items were rated in training.
        most: at most so many cases, about, drawn at random.
        seed: of the draws.
    """
    if question != "next" and dataset.head.leave_one_out:
        return []  # its validation users were trained on, but for one event each
    if question == "new":
        return asked_after_origins(dataset, validation_cases(dataset, most, seed))
    if question == "next":
        found = [validation_cases(dataset, most, seed)]
    elif question == "later":
        found = [fold_in_cases(dataset, "validation", share) for share in FOLD_IN_SHARES]
    else:
        found = [mult_vae_cases(dataset, "validation", seed + draw) for draw in range(MULT_VAE_DRAWS)]
    few = [cases.at(at_most(torch.arange(len(cases)), -(-most // len(found)), seed)) for cases in found]
    return [Asked(cases, known) for cases in few if len(cases)]


def asked_after_origins(dataset: TransitionDataset, cases: Cases) -> list[Asked]:
    """The cases whose targets come after an origin, by the last origin before them, with the training events until then."""
    training = training_data(dataset, max_items=1)
    ordered, times = training.times.sort().values, torch.from_numpy(dataset.timestamps())
    origins = torch.stack([ordered[int(share * (len(ordered) - 1))] for share in ORIGINS]).unique()
    target, _ = cases.target_events()
    last = torch.searchsorted(
        origins, times.to(origins)[target], right=False
    )  # how many origins are before each target
    found = []
    for place, origin in enumerate(origins.tolist()):
        if len(rows := (last == place + 1).nonzero().squeeze(1)):
            counts, recent = counts_of(training, until=origin)
            found.append(Asked(cases.at(rows), LogCounts(counts.float().log1p(), recent.float().log1p())))
    return found
