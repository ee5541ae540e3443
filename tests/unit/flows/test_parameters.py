from pathlib import Path
from typing import get_args

import pytest
import typer
import yaml
from pydantic import ValidationError

from flows.cli import resolve
from flows.parameters import FOLDER, Profile, ProfileName, load_profile

REPOSITORY = Path(__file__).parents[3]


@pytest.mark.parametrize("name", get_args(ProfileName))
def test_every_profile_is_valid_and_complete(name: ProfileName) -> None:
    profile = load_profile(name)
    assert profile.description
    assert Profile.model_validate(profile.model_dump(mode="json")) == profile


@pytest.mark.parametrize("name", get_args(ProfileName))
def test_the_articles_second_stage_is_within_every_profiles_reach(name: ProfileName) -> None:
    """Where validation turns half-way, or before."""
    trainer = resolve(name, "x", changes=["train.preset=article"]).train.trainer
    looks = trainer.steps // trainer.validate_every
    assert trainer.patience is not None
    assert len(trainer.stages) == 2
    assert looks // 2 + trainer.patience < looks


def test_profiles_exist_once() -> None:
    assert {path.stem for path in FOLDER.glob("*.yaml")} == set(get_args(ProfileName))
    deployments = yaml.safe_load((REPOSITORY / "prefect.yaml").read_text())["deployments"]
    assert len(deployments) == 6 * len(get_args(ProfileName))
    assert all(entry["parameters"] == {"profile": entry["name"]} for entry in deployments)


def test_command_line_changes_are_checked_parameters() -> None:
    profile = resolve(
        "sample", "here", "a.csv, b", ["train.trainer.steps=7", "train.learners=[td3]", "features.dim=64"]
    )
    assert profile.source.release == "here"
    assert [file.path for file in profile.source.metadata] == [Path("a.csv"), Path("b")]
    assert (profile.train.trainer.steps, profile.train.learners, profile.features.dim) == (7, ("td3",), 64)
    assert resolve("ml-20m", "x").source.metadata == ()


def test_a_preset_fills_in_what_neither_profile_nor_command_line_says() -> None:
    train = resolve(
        "ml-20m", changes=["train.preset=article", "train.td3.discount=0.5", "train.ddpg={hidden_dim: 16}"]
    ).train
    assert (train.td3.discount, train.td3.policy_delay, train.trainer.steps) == (0.5, 10, 100_000)
    assert (train.ddpg.hidden_dim, train.ddpg.policy_delay) == (16, 10)
    assert resolve("sample", changes=["train.td3.discount=0.5"]).train.td3.policy_delay == 2


def test_changes_build_on_each_other() -> None:
    train = resolve("sample", changes=["train.td3={hidden_dim: 16}", "train.td3.hidden_dim=32"]).train
    assert train.td3.hidden_dim == 32
    with pytest.raises(typer.BadParameter):
        resolve("sample", changes=["train.td3=5", "train.td3.hidden_dim=32"])


@pytest.mark.parametrize(
    "change", ["train.trainer.stepz=7", "steps=7", "features.dim", "features.dim=0", "train.learners=[sarsa]"]
)
def test_bad_changes_are_refused(change: str) -> None:
    with pytest.raises(typer.BadParameter):
        resolve("sample", changes=[change])


def test_every_parameter_is_described_bounded_and_frozen() -> None:
    def check(schema: dict[str, object], definitions: dict[str, dict[str, object]], where: str) -> None:
        for name, field in schema.get("properties", {}).items():  # type: ignore[attr-defined]
            place = f"{where}.{name}"
            if name not in ("name", "description") and where != "Profile":
                assert field.get("description"), place
            if field.get("type") in ("integer", "number"):
                assert {"minimum", "exclusiveMinimum"} & field.keys(), place
        assert schema.get("additionalProperties") is False or where == "SourceParams.columns", where

    schema = Profile.model_json_schema()
    definitions = schema["$defs"]
    check(schema, definitions, "Profile")
    for name, definition in definitions.items():
        check(definition, definitions, name)
    with pytest.raises(ValidationError):
        load_profile("sample").train.seed = 3  # type: ignore[misc]
