"""Named parameter sets: each exists once, as flows/profiles/<name>.yaml, for every way to start a flow."""

from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict

from evaluation.judging import EvaluateParams
from tasks.dask_cluster import ClusterParams
from tasks.export import ExportParams
from tasks.features import FeatureParams
from tasks.publish import PublishParams
from tasks.sources import SourceParams
from tasks.train import TrainParams

ProfileName = Literal["sample", "ml-latest-small", "ml-20m"]
FOLDER = Path(__file__).parent / "profiles"


class Profile(BaseModel):
    """All parameters of a retraining, stage by stage; a profile's file holds only what differs from the defaults."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    description: str
    source: SourceParams = SourceParams()
    features: FeatureParams = FeatureParams()
    export: ExportParams = ExportParams()
    train: TrainParams = TrainParams()
    evaluate: EvaluateParams = EvaluateParams()
    publish: PublishParams = PublishParams()
    cluster: ClusterParams = ClusterParams()


def profile_values(name: ProfileName) -> dict[str, Any]:
    """What the named parameter set says; it leaves the rest to the defaults."""
    values: dict[str, Any] = yaml.safe_load((FOLDER / f"{name}.yaml").read_text())
    return values


def load_profile(name: ProfileName) -> Profile:
    """The named parameter set."""
    return Profile.model_validate(profile_values(name))
