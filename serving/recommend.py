"""The recommender: histories of ratings → the best items, each with its score, the critics' value and the nearest rated items."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from evaluation.protocols.distances import Acting, ByDistance, Distance
from models.action_values import item_values_of
from models.baselines.popularity import Popularity
from models.critic_weight import with_critic_weight
from models.histories import Histories, Scorer
from models.nearest import top_items, without
from models.policy_formats import shortest_history
from models.ranking_policy import RankingPolicy
from models.serve_for import ServeFor, serving
from serving.asking import Answer, Question, Rated
from serving.catalogue import Catalogue
from serving.diversity import CANDIDATES_PER_ITEM, diversified
from serving.errors import RatingError, UnknownMethodError, UnsuitableMethodError
from serving.filters import allowed_items
from storage.dataset.scale import RatingRewards

POPULARITY = "popularity"
REASONS = 2  # rated items that explain a recommended one
MOST_CANDIDATES = 2000  # that maximal marginal relevance chooses from
ON_GRID = 1e-3  # of a step, how far a rating may be from the scale


class KnownHistory(NamedTuple):
    """The part of a question's history that the catalogue knows: item indices and ratings, the oldest first."""

    items: list[int]
    ratings: list[float]
    unknown_ids: tuple[int, ...]


class RankedBy(NamedTuple):
    """What scores the items for a question."""

    method: str
    serve_for: ServeFor = "next"
    distance: Distance | None = None
    critic_weight: float | None = None


@dataclass(frozen=True)
class Recommender:
    """A policy with its catalogue, and baselines fitted on the same items.

    Attributes:
        name: of the policy, such as policy@champion.
        digest: of the policy; None if it is no artifact.
        policy: scores the catalogue's items.
        catalogue: the items.
        ratings: the scale of ratings, and their rewards.
        baselines: by name; popularity is always there.
    """

    name: str
    digest: str | None
    policy: Scorer
    catalogue: Catalogue
    ratings: RatingRewards
    baselines: Mapping[str, Scorer] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "baselines", {POPULARITY: Popularity(self.catalogue.events)} | dict(self.baselines))

    def recommend(self, question: Question) -> Answer:
        """Answer one question.

        Raises:
            RequestError: see `check`.
        """
        self.check(question)
        return self.answer([question])[0]

    def check(self, question: Question) -> None:
        """Refuse a question that cannot be answered.

        Raises:
            UnknownMethodError: there is no such policy or baseline.
            UnsuitableMethodError: a distance is asked of one that has no action, or a weight of critics of one without any.
            RatingError: a rating is not on the scale.
        """
        if question.method not in (None, self.name, *self.baselines):
            raise UnknownMethodError(
                f"method: expected one of {', '.join((self.name, *self.baselines))}; found {question.method!r}. Name one of these."
            )
        if question.distance is not None and not self.acts(question.method):
            raise UnsuitableMethodError(
                f"distance: expected a policy, which has an action to measure from; found {question.method!r}. Leave out the distance."
            )
        if question.critic_weight is not None and question.distance is not None:
            raise UnsuitableMethodError(
                "critic_weight: expected no distance, because critics re-rank scores; found both. Leave out one of them."
            )
        if question.critic_weight is not None and not self.has_critics(question.method):
            raise UnsuitableMethodError(
                f"critic_weight: expected a policy with critics that can re-rank; found {question.method or self.name!r}. "
                "Leave out the weight."
            )
        scale = self.ratings.scale
        steps = (np.array([rated.rating for rated in question.history]) - scale.lowest) / scale.step
        code = np.rint(steps)
        off = (np.abs(steps - code) > ON_GRID) | (code < 0) | (code >= scale.codes)
        if off.any():
            place = int(off.argmax())
            found = question.history[place].rating
            raise RatingError(
                f"history.{place}.rating: expected one of {scale}; found {found:g}. Send a rating of this scale."
            )

    def answer(self, questions: Sequence[Question]) -> list[Answer]:
        """Answer questions that `check` let pass; those that are ranked by the same scores are computed together."""
        histories = [self._known(question.history) for question in questions]
        groups: dict[RankedBy, list[int]] = defaultdict(list)
        for place, (question, history) in enumerate(zip(questions, histories, strict=True)):
            asked = RankedBy(
                question.method or self.name, question.serve_for, question.distance, question.critic_weight
            )
            groups[asked if history.items else RankedBy(POPULARITY)].append(place)
        answers: dict[int, Answer] = {}
        for asked, places in groups.items():
            some = [questions[place] for place in places], [histories[place] for place in places]
            answers |= dict(zip(places, self._ranked(asked, *some), strict=True))
        return [answers[place] for place in range(len(questions))]

    def acts(self, method: str | None) -> bool:
        """Whether a method has an action to measure distances from."""
        return isinstance(self._scorer(method), Acting)

    def has_critics(self, method: str | None) -> bool:
        """Whether a method has critics that can re-rank its items."""
        return with_critic_weight(self._scorer(method), 0.0) is not None

    def _scorer(self, method: str | None) -> Scorer:
        return self.policy if method in (None, self.name) else self.baselines[method]

    def _known(self, history: Sequence[Rated]) -> KnownHistory:
        ids = np.array([rated.movie_id for rated in history], dtype=np.int64)
        items = self.catalogue.index.of(ids)
        known = items >= 0
        ratings = [rated.rating for rated, is_known in zip(history, known.tolist(), strict=True) if is_known]
        return KnownHistory(items[known].tolist(), ratings, tuple(dict.fromkeys(ids[~known].tolist())))

    def _histories(self, histories: Sequence[KnownHistory], scorer: Scorer) -> Histories:
        """The histories as a batch, padded on the left; for policies of F events shorter ones begin with their oldest again."""
        shortest = shortest_history(scorer)
        size = max(shortest, *(len(history.items) for history in histories))
        items = np.full((len(histories), size), -1, dtype=np.int64)
        rewards = np.zeros((len(histories), size), dtype=np.float32)
        reward = self.ratings.reward
        for row, history in enumerate(histories):
            if count := len(history.items):
                items[row, -count:] = history.items
                rewards[row, -count:] = reward.scale * np.array(history.ratings) + reward.offset
                if count < shortest:
                    items[row, -shortest:-count] = items[row, -count]
                    rewards[row, -shortest:-count] = rewards[row, -count]
        return Histories(torch.from_numpy(items), torch.from_numpy(rewards))

    @torch.inference_mode()
    def _ranked(self, asked: RankedBy, questions: Sequence[Question], known: Sequence[KnownHistory]) -> list[Answer]:
        """Answers to questions that are ranked by the same scores."""
        scorer = serving(self._scorer(asked.method), asked.serve_for)
        if asked.critic_weight is not None:
            scorer = with_critic_weight(scorer, asked.critic_weight) or scorer
        histories = self._histories(known, scorer)
        if isinstance(scorer, RankingPolicy):
            scorer = scorer.encoding(histories)
        ranking = scorer
        if asked.distance is not None:
            assert isinstance(scorer, Acting)  # noqa: S101
            ranking = ByDistance(scorer, self.catalogue.embedding, asked.distance)
        scores = self._without_barred(ranking.scores(histories), histories, questions)
        most = min(max(map(candidates_of, questions)), len(self.catalogue))
        best = top_items(scores, most)  # (B, most)
        best_scores = scores.gather(1, best)
        allowed = (best_scores > -torch.inf).sum(1).tolist()
        chosen = [
            self._chosen(question, best[row, :count], best_scores[row, :count])
            for row, (question, count) in enumerate(zip(questions, allowed, strict=True))
        ]
        values = item_values_of(scorer, histories, [items for items, _ in chosen])
        return [
            Answer.model_validate(
                {
                    "method": asked.method,
                    "digest": self.digest if asked.method == self.name else None,
                    "items": self._described(*of_row, of_items, reasons),
                    "unknown_ids": history.unknown_ids,
                    "note": None if history.items else note_of(history, asked.method),
                }
            )
            for history, of_row, of_items, reasons in zip(
                known, chosen, values, self._reasons(known, [items for items, _ in chosen]), strict=True
            )
        ]

    def _without_barred(self, scores: Tensor, histories: Histories, questions: Sequence[Question]) -> Tensor:
        """Scores (B, I) with -∞ for rated, excluded and filtered items."""
        scores = without(scores, histories.items)
        for row, question in enumerate(questions):
            if question.exclude:
                places = self.catalogue.index.of(np.array(question.exclude, dtype=np.int64))
                scores[row, torch.from_numpy(places[places >= 0]).long()] = -torch.inf
            if (allowed := allowed_items(self.catalogue, question)) is not None:
                scores[row].masked_fill_(~allowed, -torch.inf)
        return scores

    def _chosen(self, question: Question, items: Tensor, scores: Tensor) -> tuple[Tensor, Tensor]:
        """The recommended ones among a row's best items, and their scores."""
        k = min(question.k, len(items))
        if question.diversity == 0 or k < 2:
            return items[:k], scores[:k]
        count = min(candidates_of(question), len(items))
        places = diversified(scores[:count], self.catalogue.unit[items[:count]], k, question.diversity)
        return items[places], scores[places]

    def _described(
        self, items: Tensor, scores: Tensor, values: Sequence[float | None], reasons: Sequence[list[dict[str, Any]]]
    ) -> list[dict[str, Any]]:
        """The fields of each recommended item; pydantic makes all objects of an answer in one call, which is quicker."""
        catalogue, places = self.catalogue, items.tolist()
        return [
            {
                "movie_id": movie_id,
                "title": catalogue.titles[place],
                "year": catalogue.year(place),
                "genres": catalogue.genres[place],
                "score": score,
                "value": value,
                "because": because,
            }
            for place, movie_id, score, value, because in zip(
                places, catalogue.ids[places].tolist(), scores.tolist(), values, reasons, strict=True
            )
        ]

    def _reasons(
        self, histories: Sequence[KnownHistory], recommended: Sequence[Tensor]
    ) -> list[list[list[dict[str, Any]]]]:
        """For each item of each row the nearest rated items, among liked ones if there are any: the fields of each `Reason`."""
        scale, unit = self.ratings.scale, self.catalogue.unit
        liked = scale.rating_min + scale.step * (scale.liked_code - ON_GRID)
        rating_of = [dict(zip(history.items, history.ratings, strict=True)) for history in histories]  # the latest ones
        told = [[item for item, rating in of.items() if rating >= liked] or list(of) for of in rating_of]
        everything = torch.tensor([item for items in told for item in items], dtype=torch.int64)
        of_told = unit.index_select(0, everything).split([len(items) for items in told])
        of_items = unit.index_select(0, torch.cat(list(recommended))).split([len(items) for items in recommended])
        return [
            self._nearest(ratings, items, mine @ theirs.T)
            for ratings, items, mine, theirs in zip(rating_of, told, of_items, of_told, strict=True)
        ]

    def _nearest(
        self, rating_of: Mapping[int, float], told: Sequence[int], cosines: Tensor
    ) -> list[list[dict[str, Any]]]:
        """The fields of the nearest `Reason`s, by the cosines (K, T) of K recommended items and T rated ones."""
        nearest = cosines.topk(min(REASONS, len(told)), dim=1)
        ids, titles = self.catalogue.ids[told].tolist(), self.catalogue.titles
        return [
            [
                {
                    "movie_id": ids[place],
                    "title": titles[told[place]],
                    "rating": rating_of[told[place]],
                    "similarity": round(cosine, 4),
                }
                for place, cosine in zip(places, of_item, strict=True)
            ]
            for places, of_item in zip(nearest.indices.tolist(), nearest.values.tolist(), strict=True)
        ]


def candidates_of(question: Question) -> int:
    """How many of the best items a question needs; more than k if they are diversified."""
    if question.diversity == 0:
        return question.k
    return max(question.k, min(CANDIDATES_PER_ITEM * question.k, MOST_CANDIDATES))


def note_of(history: KnownHistory, method: str) -> str:
    """Why a question without a known item is answered by popularity."""
    why = "none of the rated items is in the catalogue" if history.unknown_ids else "there are no ratings"
    return f"Ordered by {method}, because {why}."
