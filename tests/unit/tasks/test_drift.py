"""The limits of the gate on drift, and which events are later ones."""

from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError
from small_artifacts_support import making
from unit.storage.dataset.transitions_support import arguments, some_histories

from expectations.drift import drift_suite
from expectations.validate import validate
from storage.artifacts.store import ArtifactRef
from storage.dataset.extension import extend_transitions
from storage.dataset.reader import TransitionDataset
from storage.dataset.splits import SplitParams
from storage.dataset.writer import write_transitions
from tasks.drift import DriftParams, added_events, drift_events, with_limits

MEASURES = [("ratings", 0.05, 0.02), ("catalogue", 0.2, 0.02), ("activity", 0.9, 0.5)]


@pytest.fixture
def drift() -> ArtifactRef:
    """Measured indices: small, middling and large, the last one with little data."""
    with making("drift") as draft:
        (draft.path / "drift.json").write_text("[]")
        draft.facts = {
            "measures": [{"measure": name, "psi": psi, "by_chance": chance} for name, psi, chance in MEASURES]
        }
    return draft.committed


@pytest.mark.parametrize(
    ("params", "passed", "failed", "warned"),
    [
        (DriftParams(), False, {"activity"}, {"catalogue", "activity"}),
        (DriftParams(fail_above=None), True, set(), {"catalogue", "activity"}),
        (DriftParams(fail_above=0.15), False, {"catalogue", "activity"}, {"catalogue", "activity"}),
        (DriftParams(warn_above=0.3, fail_above=0.95), True, set(), {"activity"}),
        (DriftParams(warn_above=1, fail_above=1), True, set(), set()),
    ],
)
def test_an_index_above_its_limit_warns_or_fails(
    drift: ArtifactRef, tmp_path: Path, params: DriftParams, passed: bool, failed: set[str], warned: set[str]
) -> None:
    result = validate(with_limits(drift, params), drift_suite(), tmp_path)
    assert result.passed is passed
    assert {row["measure"] for one in result.failures for row in one.examples} == failed
    assert {row["measure"] for one in result.warnings for row in one.examples} == warned


def test_what_chance_explains_is_below_every_limit(drift: ArtifactRef) -> None:
    table = with_limits(drift, DriftParams(warn_above=0.01, fail_above=0.01)).set_index("measure")
    assert table.loc["activity", ["warn_above", "fail_above"]].tolist() == [0.5, 0.5]
    assert table.loc["ratings", ["warn_above", "fail_above"]].tolist() == [0.02, 0.02]


def test_a_limit_that_fails_before_it_warns_is_refused() -> None:
    with pytest.raises(ValidationError, match="expected warn_above ≤ fail_above"):
        DriftParams(warn_above=0.3, fail_above=0.2)


def test_the_later_events_are_those_that_the_base_does_not_have(tmp_path: Path) -> None:
    first, later = some_histories([6, 5, 4]), some_histories([3, 0, 2], seed=5)
    given = arguments(first)
    write_transitions(tmp_path / "base.h5", [first], **given)
    for name, new in (("new.h5", [later]), ("same.h5", [first])):
        extend_transitions(
            tmp_path / "base.h5",
            lambda blocks=new: blocks,
            out=tmp_path / name,
            movie_ids=given["movie_ids"],
            embeddings=given["embeddings"],
            splits=SplitParams(),
            provenance={},
        )
    base, extended, same = (TransitionDataset.open(tmp_path / f"{name}.h5") for name in ("base", "new", "same"))
    found = added_events(base, extended)
    assert sorted(zip(found.user_ids, found.movie_ids // 7, found.codes, found.timestamps, strict=True)) == sorted(
        zip(np.repeat(later.user_id, later.length), later.item, later.code, later.timestamp, strict=True)
    )
    assert len(added_events(base, same).codes) == 0
    assert len(drift_events(base).codes) == 15
