"""The hyper-parameters of baselines come from a published report: they are used if they are valid and bounded."""

from pathlib import Path
from typing import Any

import pytest

from models.baselines.training import TrainingData
from serving.baselines import TunedBaselines, baseline_config, tuned_baselines
from storage.artifacts.aliases import move_alias
from storage.artifacts.manifest import Recipe
from storage.artifacts.object_stores import ObjectStore, open_store
from storage.artifacts.publishing import publish
from storage.artifacts.store import ArtifactStore
from storage.errors import ArtifactError

DATASET = "d" * 32


def reported(folder: Path, baselines: Any) -> ObjectStore:
    """Where a report that says this about baselines is the newest one."""
    recipe = Recipe(kind="report", schema_version=1, parameters={}, inputs={"dataset": DATASET}, code="")
    own, store = ArtifactStore(folder / "artifacts"), open_store(str(folder / "published"))
    with own.create(recipe) as draft:
        (draft.path / "report.json").write_text("{}")
        draft.facts = {"baselines": baselines}
    publish(store, own, draft.committed)
    move_alias(store, draft.committed, "latest", {})
    return store


def test_the_reports_hyper_parameters_are_used_on_its_dataset_only(tmp_path: Path) -> None:
    store = reported(tmp_path, {"max_items": 50, "configs": {"ease": {"regularisation": 7.0}}})
    tuned = tuned_baselines(store, DATASET)
    assert (tuned.max_items, baseline_config("ease", tuned).regularisation) == (50, 7.0)
    assert tuned_baselines(store, "e" * 32) == tuned_baselines(open_store(str(tmp_path / "none")), DATASET)
    assert TunedBaselines().max_items == TrainingData.max_items


@pytest.mark.parametrize(
    ("baselines", "message"),
    [
        ({"max_items": 10**9, "configs": {}}, "max_items"),
        ({"configs": ["ease"]}, "configs"),
        ({"configs": {"fm": 3}}, "fm"),
        ({"configs": {"fm": {"epochs": "many"}}}, r"baselines\.configs\.fm"),
        ({"configs": {"fm": {"epochs": 10_000}}}, "10000 epochs; at most 200"),
        ("no object", "baselines"),
    ],
)
def test_hyper_parameters_that_are_not_valid_or_cost_too_much_are_refused(
    tmp_path: Path, baselines: Any, message: str
) -> None:
    store = reported(tmp_path, baselines)
    with pytest.raises(ArtifactError, match=f"report@latest: expected valid facts.*{message}"):
        baseline_config("fm", tuned_baselines(store, DATASET))
