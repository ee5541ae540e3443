"""Find items by title: exactly, by a part of it, or in spite of typing errors."""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from rapidfuzz import fuzz, process

YEAR = re.compile(r"\s*\((\d{4})\)\s*$")
ARTICLE = re.compile(r"^(.*),\s+(the|a|an|le|la|les|der|die|das|el|il)$")
LEAST_SIMILAR = 75.0  # of 100, for a title to be proposed


class Match(NamedTuple):
    """What a written title may mean.

    Args:
        item: the item index, if there is no doubt.
        proposals: item indices of similar titles, the most similar first; of none if `item` is known.
    """

    item: int | None
    proposals: tuple[int, ...] = ()


class Titles:
    """The titles of a catalogue.

    Args:
        titles: (I,) without years.
        years: (I,) int64; 0 where unknown.
        events: (I,) training events; of equally good titles the more popular comes first.
    """

    def __init__(self, titles: Sequence[str], years: NDArray[np.int64], events: NDArray[np.int64]) -> None:
        self.years, self.events = years, events
        self.plain = [searchable(title) for title in titles]

    @cached_property
    def _places(self) -> dict[str, list[int]]:
        places = defaultdict(list)
        for item, text in enumerate(self.plain):
            places[text].append(item)
        return places

    def match(self, written: str, most: int = 5) -> Match:
        """The item that a title, perhaps with its year in brackets, names; similar titles if that is not certain."""
        found = YEAR.search(written)
        year = int(found[1]) if found else None
        text = searchable(YEAR.sub("", written))
        same = self._places.get(text, [])
        exact = [item for item in same if year is None or self.years[item] == year]
        if len(exact) == 1:
            return Match(exact[0])
        if exact or same:
            return Match(None, self._popular_first(exact or same)[:most])
        return Match(None, self._similar(text, most))

    def search(self, query: str, most: int) -> tuple[int, ...]:
        """Items whose title holds every word of the query, the most popular first; if there are none, similar titles."""
        text = searchable(YEAR.sub("", query))
        words = text.split()
        if not words:
            return ()
        holding = [item for item, title in enumerate(self.plain) if all(word in title for word in words)]
        if not holding:
            return self._similar(text, most)
        begins = [item for item in holding if self.plain[item].startswith(text)]
        rest = set(holding) - set(begins)
        return (*self._popular_first(begins), *self._popular_first(list(rest)))[:most]

    def _popular_first(self, items: Sequence[int]) -> tuple[int, ...]:
        return tuple(sorted(items, key=lambda item: (-self.events[item], item)))

    def _similar(self, text: str, most: int) -> tuple[int, ...]:
        found = process.extract(text, self.plain, scorer=fuzz.WRatio, limit=most, score_cutoff=LEAST_SIMILAR)
        return tuple(place for _, _, place in found)


def searchable(title: str) -> str:
    """A title in small letters without accents and punctuation, with its article in front."""
    text = unicodedata.normalize("NFKD", title).casefold().strip()
    text = ARTICLE.sub(r"\2 \1", text)
    text = "".join(letter for letter in text if not unicodedata.combining(letter))
    return " ".join(re.sub(r"[^\w\s]", " ", text).split())
