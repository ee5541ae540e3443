"""What is shown rather than tested: examples, the map, the cards."""

from pathlib import Path

import numpy as np
import pytest
from tests_support import REPOSITORY
from unit.storage.dataset.transitions_support import written

from evaluation.protocols.cases import next_item_cases
from evaluation.report.sections.cards import numbers as cards
from evaluation.report.sections.cards.dataset_card import DatasetCard, dataset_card
from evaluation.report.sections.embedding_map import draw, measure_embedding_map
from evaluation.report.sections.examples.numbers import ExamplesSection, measure_examples
from models.learners.registry import LEARNERS
from storage.dataset.reader import TransitionDataset

TITLES = [f"Film {place}" for place in range(30)]


@pytest.fixture
def shown(data: TransitionDataset) -> ExamplesSection:
    cases = next_item_cases(data, "test", per_user=5)
    best = {name: np.tile(np.arange(30), (len(cases), 1)) for name in ("ease", "td3", "als")}
    return measure_examples(data, TITLES, cases.known.numpy(), best, ("td3", "ease"), count=4, k=10, seed=1)


def test_examples_are_users_as_the_dataset_has_them(data: TransitionDataset, shown: ExamplesSection) -> None:
    assert len({one.user for one in shown.examples}) == 4
    for one in shown.examples:
        user = int(np.flatnonzero(data.user_ids == int(one.user))[0])
        assert data.user_split[user] == 2
        begin, end = data.offset[user : user + 2].tolist()
        item = data.item[begin:end].tolist()
        assert one.known >= data.frame
        assert one.next.title == TITLES[item[one.known]]
        assert [seen.title for seen in one.last] == [TITLES[place] for place in item[max(0, one.known - 6) : one.known]]
        ratings = sorted((data.rating(event) for event in range(begin, begin + one.known)), reverse=True)
        assert [seen.rating for seen in one.liked] == [rating for rating in ratings if rating >= 4][:8]
        assert [row.method for row in one.lists] == ["td3", "ease", "als"]
        assert [row.folded for row in one.lists] == [False, False, True]
        for place, entry in enumerate(one.lists[0].entries):
            later = place in item[one.known + 1 :]
            expected = "next" if place == item[one.known] else "later" if later else None
            assert entry.chosen == expected
            assert (entry.rating is None) is (expected is None)


def test_no_users_no_examples(data: TransitionDataset) -> None:
    found = measure_examples(data, TITLES, np.empty((0, 2), np.int64), {}, (), 3, 10, 0)
    assert found.examples == ()


def test_the_map_marks_what_is_recommended_most() -> None:
    rng = np.random.default_rng(0)
    best = np.array([[29, 0], [29, 1], [29, -1]])
    found = measure_embedding_map(
        "td3", best, rng.normal(size=(30, 4)).astype(np.float32), np.arange(30)[::-1].copy(), TITLES,
        ["Drama"] * 20 + ["Comedy"] * 10, way="pca", points=12,
    )  # fmt: skip
    assert len(found.points) == 12
    marked = {point.title: point.lists for point in found.points if point.marked}
    assert marked == {"Film 29": 3, "Film 0": 1, "Film 1": 1}
    first = found.most_recommended[0]
    assert (first.title, first.share, first.rated_rank, first.group) == ("Film 29", 1.0, 30, "Comedy")
    chart = draw(found)[0]
    assert "12 of 30 items" in chart[2]


def card_of(data: TransitionDataset, folder: Path) -> DatasetCard:
    from storage.artifacts.manifest import Recipe
    from storage.artifacts.store import ArtifactStore

    store = ArtifactStore(folder / "store")
    with store.create(Recipe(kind="dataset", schema_version=1, parameters={}, inputs={}, code="")) as draft:
        (draft.path / "any").write_text("x")
        draft.licences = ["cite"]
    return dataset_card(data, store.manifest(draft.committed))


def test_card_of_a_leave_one_out_dataset(tmp_path: Path) -> None:
    lengths = [6, 9, 30, 4]
    data = written(tmp_path, lengths, mode="leave-one-out", split=np.zeros(4, np.uint8))
    found = [(one.name, one.users, one.events, one.transitions) for one in card_of(data, tmp_path).splits]
    in_time = int(data.timely.sum())
    train = int((data.timely - data.frame).clip(0).sum())
    assert found == [
        ("train", int((data.timely > data.frame).sum()), in_time, train),
        ("validation", 3, 3, 3),
        ("test", 3, 3, 3),
    ]


def test_dataset_card_counts(data: TransitionDataset, tmp_path: Path) -> None:
    card = card_of(data, tmp_path)
    sizes = data.offset.diff()
    assert (card.users, card.items, card.events) == (60, 30, int(sizes.sum()))
    assert sum(one.events for one in card.ratings) == card.events
    assert [(one.name, one.users) for one in card.splits[:3]] == [("train", 20), ("validation", 20), ("test", 20)]
    assert card.events_per_user.most == sizes.max()
    assert (card.same_second_share, card.one_day_users_share) == (0.0, 1.0)
    assert any("within one day" in said for said in card.caveats)
    assert card.licences == ("cite",)
    assert (card.first_event, card.time_cut) == ("1970-01-01", "1970-01-01")


def test_every_learner_has_a_note_and_nested_settings_lie_flat() -> None:
    assert all(entry.summary.endswith(".") and entry.paper for entry in LEARNERS.values())
    assert cards.flat({"a": {"b": 1, "c": [1, 2]}, "d": None}) == {"a.b": 1, "a.c": "1, 2", "d": None}
    assert (REPOSITORY / "docs" / "methods.md").exists()
