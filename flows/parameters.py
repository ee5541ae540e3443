"""Profiles: YAML files with the parameters of every stage, for the command line and deployments alike."""

from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from evaluation.evaluate import EvaluateParams
from flows.profile_problems import line_of, problems_by_place, repeated_key
from models.online.params import OnlineParams
from storage.errors import MarqueeError
from tasks.dask_cluster import ClusterParams
from tasks.drift import DriftParams
from tasks.export import ExportParams
from tasks.features import FeatureParams
from tasks.publish import PublishParams
from tasks.sources import SourceParams
from tasks.train import TrainParams

FOLDER = Path(__file__).parent / "profiles"


class ProfileError(MarqueeError):
    """A profile does not exist, or is not a YAML file of parameters."""


class Profile(BaseModel):
    """All parameters of a retraining, stage by stage; a file holds only those that differ from the defaults."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    description: str
    source: SourceParams = SourceParams()
    features: FeatureParams = FeatureParams()
    export: ExportParams = ExportParams()
    train: TrainParams = TrainParams()
    online: OnlineParams = OnlineParams()
    evaluate: EvaluateParams = EvaluateParams()
    publish: PublishParams = PublishParams()
    drift: DriftParams = DriftParams()
    cluster: ClusterParams = ClusterParams()


def profile_names() -> list[str]:
    """The names of the profiles that come with Marquee."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def profile_path(profile: str) -> Path:
    """The file of a profile.

    Args:
        profile: a name in `flows/profiles/`, or the path of a YAML file.
    """
    return FOLDER / f"{profile}.yaml" if profile in profile_names() else Path(profile)


def profile_values(profile: str) -> dict[str, Any]:
    """Read a profile's file as it is, without the defaults.

    Args:
        profile: a name in `flows/profiles/`, or the path of a YAML file.

    Raises:
        ProfileError: there is no such file, it holds no mapping of names to values, or a name is in it twice.
    """
    path = profile_path(profile)
    try:
        text = path.read_text()
        values, tree = yaml.safe_load(text), yaml.compose(text, yaml.SafeLoader)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        found = "no such file" if isinstance(error, FileNotFoundError) else f"{type(error).__name__}: {error}"
        raise ProfileError(
            f"{profile}: expected a profile ({', '.join(profile_names())}) or the path of a YAML file; found {found}. "
            "Correct the name or the file."
        ) from error
    if not isinstance(values, dict) or not isinstance(tree, yaml.MappingNode):
        raise ProfileError(
            f"{path}: expected stages with their parameters, e.g. features: {{dim: 64}}; found {type(values).__name__}. "
            "Write stages with parameters into the file."
        )
    if (repeated := repeated_key(tree)) is not None:
        raise ProfileError(
            f"{path}:{repeated.start_mark.line + 1}: expected every name once; found {repeated.value!r} again. "
            "Put its parameters under one name."
        )
    return values


def load_profile(profile: str) -> Profile:
    """Read a profile and check it; the defaults fill in what its file does not set.

    Args:
        profile: a name in `flows/profiles/`, or the path of a YAML file.

    Raises:
        ProfileError: see `profile_values`; or a parameter is unknown or out of its bounds.
    """
    values = profile_values(profile)
    try:
        return Profile.model_validate(values)
    except ValidationError as error:
        path = profile_path(profile)
        tree = yaml.compose(path.read_text(), yaml.SafeLoader)
        problems = "; ".join(
            f"line {line_of(tree, place)}: {problem}" for place, problem in problems_by_place(error, Profile)
        )
        raise ProfileError(
            f"{path}: expected the parameters of the stages (docs/concepts.md, Parameters and profiles); found {problems}. "
            "Correct these lines."
        ) from None


def problems_of(error: ValidationError) -> str:
    """The parameters that are wrong, and why; without their values, which may be secrets."""
    return "; ".join(problem for _, problem in problems_by_place(error, Profile))
