"""The example profile of a domain without times reads the real files."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flows.parameters import load_profile
from storage.dataset.sorting import sorted_histories
from storage.sources.bad_rows import BadRows
from storage.sources.generic.items import read_generic_items
from storage.sources.generic.ratings import generic_events

PROFILE = Path(__file__).parents[3] / "examples" / "goodbooks.yaml"


def test_goodbooks_are_read_by_parameters_alone(real_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(real_data)
    params = load_profile(str(PROFILE)).source.generic
    assert params is not None
    movies, _ = read_generic_items(params, BadRows("reject"))
    facts: dict[str, Any] = {}
    blocks = generic_events(params, movies["movie_id"].to_numpy(), BadRows("reject"), facts)
    histories = list(sorted_histories(blocks, movies.num_rows, facts))
    assert (facts["rows"], facts["dropped_unknown_movie"]) == (981_756, 0)
    assert (facts["dropped_repeated"], facts["users"], facts["rated_movies"]) == (2_278, 53_424, 10_000)
    assert movies["title"][0].as_py().startswith("The Hunger Games")
    assert movies["writers"][1].as_py() == ["J.K. Rowling", "Mary GrandPré"]
    rises = np.concatenate(
        [np.diff(block.item)[np.diff(np.repeat(block.user_id, block.length)) == 0] > 0 for block in histories]
    )
    assert abs(rises.mean() - 0.5) < 0.01, "in the file all of them rise"
