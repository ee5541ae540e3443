"""Items with data for every block of features."""

import numpy as np
from items_support import events_of, items_of

from models.encoders.columns import Genome, ItemColumns

ITEMS, RATED = 30, 24
COLUMNS = ("genres", "metadata_genres", "countries", "languages", "original_language", "companies", "collection", "cast",
           "directors", "writers", "certification", "keywords", "title_type", "status", "adult", "tags")  # fmt: skip
WORDS = ("captain", "ship", "storm", "island", "letter", "harbour")


def all_columns() -> ItemColumns:
    """Items with data for every block; the last ones have no events, tags or genome."""
    rng = np.random.default_rng(0)

    def some(words: tuple[str, ...], share: float = 0.5) -> list[str]:
        return [word for word in words if rng.random() < share]

    lists = {name: [some(("a", "b", "c")) for _ in range(ITEMS)] for name in COLUMNS}
    lists["tags"][RATED:] = [[]] * (ITEMS - RATED)
    relevance, known = rng.random((ITEMS, 5), dtype=np.float32), np.arange(ITEMS) < RATED
    relevance[RATED:] = 0
    vectors = rng.normal(size=(ITEMS, 6)).astype(np.float32)
    numbers = {name: rng.uniform(1, 100, ITEMS).tolist() for name in ("year", "vote_count", "release_month")}
    numbers["year"][2] = numbers["vote_count"][RATED] = np.nan
    events = [
        (user, int(item), float(rng.integers(1, 6)), 10 * user)
        for user in range(20)
        for item in rng.permutation(RATED)[:8]
    ]
    texts = [" ".join(some(WORDS)) for _ in range(ITEMS)]
    train = [item in {event[1] for event in events} for item in range(ITEMS)]
    assert train == known.tolist()
    return items_of(train, lists, numbers, texts, vectors, events_of(events), Genome(relevance, known, list("vwxyz")))
