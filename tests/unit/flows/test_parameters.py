"""Profiles and the changes that the command line makes to them."""

from pathlib import Path

import pytest
import typer
import yaml
from pydantic import ValidationError

from flows.cli.running import resolved_profile
from flows.parameters import FOLDER, Profile, ProfileError, load_profile, profile_names

REPOSITORY = Path(__file__).parents[3]


@pytest.mark.parametrize("name", profile_names())
def test_every_profile_is_valid_and_complete(name: str) -> None:
    profile = load_profile(name)
    assert profile.description
    assert Profile.model_validate(profile.model_dump(mode="json")) == profile
    assert {"td3", "ddpg", "ranking"} <= set(profile.train.learners)


@pytest.mark.parametrize("name", profile_names())
def test_the_articles_second_stage_is_within_every_profiles_reach(name: str) -> None:
    """Where validation turns half-way, or before."""
    trainer = resolved_profile(name, "x", changes=["train.preset=article"]).train.trainer
    looks = trainer.steps // trainer.validate_every
    assert trainer.patience is not None
    assert len(trainer.stages) == 2
    assert looks // 2 + trainer.patience < looks


def test_every_flow_is_deployed_with_every_profile() -> None:
    deployments = yaml.safe_load((REPOSITORY / "prefect.yaml").read_text())["deployments"]
    flows = [path.stem for path in FOLDER.parent.glob("*.py") if "@flow" in path.read_text()]
    assert len(flows) >= 6
    expected = {(f"flows.{name}.{name}", profile) for name in flows for profile in profile_names()}
    found = [(entry["entrypoint"], entry["name"]) for entry in deployments]
    assert expected <= set(found)
    assert len(found) == len(set(found))
    for entry in deployments:  # those beside them are variants of one, such as retraining on new data
        assert entry["parameters"]["profile"] in profile_names()
        assert entry["parameters"] == {"profile": entry["name"]} or entry["name"] not in profile_names()


def test_every_flow_makes_a_summary() -> None:
    flows = [path for path in FOLDER.parent.glob("*.py") if "@flow" in path.read_text()]
    assert [path.name for path in flows if "\n@with_summary\n" not in path.read_text()] == []


def test_a_profile_may_be_any_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("description: Mine.\nfeatures: {dim: 48}\n")
    assert load_profile(str(path)).features.dim == 48
    assert resolved_profile(str(path), changes=["train.trainer.steps=7"]).features.dim == 48


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            None,
            r"expected a profile \(ml-20m, ml-latest-small, sample\) or the path of a YAML file; found no such file",
        ),
        ("features: {dim", "expected a profile .* found ParserError"),
        ("- features", "expected stages with their parameters, .* found list"),
        ("", "expected stages with their parameters, .* found NoneType"),
        ("description: x\nfeatures: {dim: 0}", r"mine.yaml: .* line 2: features\.dim: Input should be greater than"),
        (
            "description: x\nfeatures: {dimm: 64}",
            r"found line 2: features\.dimm: unknown parameter; did you mean dim\?",
        ),
        (
            "description: x\nfeatures:\n  dim: 64\n  text:\n    tokens: 8",
            r"line 5: features\.text\.tokens: .* max_tokens\?",
        ),
        ("description: x\n\nfeature: {dim: 64}", r"line 3: feature: unknown parameter; did you mean features\?"),
        ("description: x\ntrain:\n  td3:\n    hidden: 5", r"line 4: train\.td3\.hidden: .* did you mean hidden_dim\?"),
        ("description: x\nexport: {zzz: 1}", r"export\.zzz: unknown parameter; there are frame, "),
        (
            "description: x\nsource:\n  generic:\n    ratings: r.csv\n    user: u\n    item: i\n    rating: r\n    scales: 1",
            r"line 8: source\.generic\.scales: .* did you mean scale\?",
        ),
        (
            "description: x\nsource:\n  metadata:\n  - {path: a}\n  - {pat: b}",
            r"line 5: source\.metadata\.1\.pat: .* path\?",
        ),
        ("description: x\nfeatures: {dim: 64}\nfeatures: {seed: 1}", r"mine\.yaml:3: .* found 'features' again"),
        ("description: x\ntrain:\n  td3: {discount: 0.5, discount: 0.6}", r"mine\.yaml:3: .* found 'discount' again"),
        ("features: {dim: 64}", "description: Field required"),
    ],
)
def test_a_bad_profile_is_refused_with_its_reason(tmp_path: Path, text: str | None, message: str) -> None:
    path = tmp_path / "mine.yaml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ProfileError, match=message):
        load_profile(str(path))


def test_command_line_changes_are_checked_parameters() -> None:
    profile = resolved_profile(
        "sample", "here", "a.csv, b", ["train.trainer.steps=7", "train.learners=[td3]", "features.dim=64"]
    )
    assert profile.source.release == "here"
    assert [file.path for file in profile.source.metadata] == [Path("a.csv"), Path("b")]
    assert (profile.train.trainer.steps, profile.train.learners, profile.features.dim) == (7, ("td3",), 64)
    assert resolved_profile("ml-20m", "x").source.metadata == ()


def test_a_preset_fills_in_what_neither_profile_nor_command_line_says() -> None:
    train = resolved_profile(
        "ml-20m", changes=["train.preset=article", "train.td3.discount=0.5", "train.ddpg={hidden_dim: 16}"]
    ).train
    assert (train.td3.discount, train.td3.policy_delay, train.trainer.steps) == (0.5, 10, 100_000)
    assert (train.ddpg.hidden_dim, train.ddpg.policy_delay) == (16, 10)
    assert resolved_profile("sample", changes=["train.td3.discount=0.5"]).train.td3.policy_delay == 2


def test_changes_build_on_each_other() -> None:
    train = resolved_profile("sample", changes=["train.td3={hidden_dim: 16}", "train.td3.hidden_dim=32"]).train
    assert train.td3.hidden_dim == 32
    train = resolved_profile("sample", changes=["train.td3.hidden_dim=32"]).train  # there ddpg is an alias of td3
    assert (train.td3.hidden_dim, train.ddpg.hidden_dim) == (32, 256)
    with pytest.raises(typer.BadParameter):
        resolved_profile("sample", changes=["train.td3=5", "train.td3.hidden_dim=32"])


def test_an_unknown_name_in_a_change_comes_with_the_nearest_known_one() -> None:
    with pytest.raises(typer.BadParameter, match=r"did you mean steps\?"):
        resolved_profile("sample", changes=["train.trainer.stepz=7"])


@pytest.mark.parametrize(
    "change", ["train.trainer.stepz=7", "steps=7", "features.dim", "features.dim=0", "train.learners=[sarsa]"]
)
def test_bad_changes_are_refused(change: str) -> None:
    with pytest.raises(typer.BadParameter):
        resolved_profile("sample", changes=[change])


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
