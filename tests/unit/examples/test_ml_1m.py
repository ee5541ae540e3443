"""The example profile of MovieLens 1M reads the real files and holds out the last two events of every user."""

from pathlib import Path
from typing import Any

import pytest

from flows.parameters import load_profile
from storage.dataset.sorting import sorted_histories
from storage.sources.bad_rows import BadRows
from storage.sources.generic.items import read_generic_items
from storage.sources.generic.ratings import generic_events

PROFILE = Path(__file__).parents[3] / "examples" / "ml-1m.yaml"


def test_movielens_1m_is_read_by_parameters_alone(real_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(real_data)
    profile = load_profile(str(PROFILE))
    params = profile.source.generic
    assert params is not None
    assert profile.export.splits.mode == "leave-one-out"
    movies, _ = read_generic_items(params, BadRows("reject"))
    facts: dict[str, Any] = {}
    blocks = generic_events(params, movies["movie_id"].to_numpy(), BadRows("reject"), facts)
    histories = list(sorted_histories(blocks, movies.num_rows, facts))
    assert (facts["rows"], facts["users"], facts["rated_movies"]) == (999_611, 6_040, 3_416)
    assert min(int(block.length.min()) for block in histories) >= 12  # every user has a validation and a test case
