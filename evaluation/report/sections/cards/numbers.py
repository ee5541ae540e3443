"""The report's cards: the dataset, the policies, the tuning of the baselines, and the provenance of the report."""

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import Field, ValidationError

from evaluation.protocols.population_stability import Stability
from evaluation.record import Record
from evaluation.report.sections.cards.dataset_card import DatasetCard
from models.learners.registry import entry_of
from models.online.params import method_of
from models.policy_facts import PolicyFacts
from models.term_weights import TunedWeights
from storage.artifacts.manifest import Manifest
from storage.errors import ArtifactError

Setting = str | int | float | bool | None

INTENDED_USE = (
    "Ranks the items of the catalogue it was trained on for users whose rated items, in time order, are known. "
    "For research and offline comparison; an online test must come before a decision that matters."
)
LOGGED_LIMIT = "Learnt from logged choices alone: nobody could choose an item that was not shown, and no offline metric corrects for that."
SIMULATED_LIMIT = "Learnt with simulated users: it is as good for real users as the simulation is like them."
LIMITS = (
    "Knows the items of its catalogue only; new items need extend-dataset first.",
    "A metric is an average over users; users with few ratings or rare tastes may be served worse (see Popularity bias in the report).",
)
ENSEMBLE_OF = "The mean of {} policies with different seeds. "
NEAREST_LIMIT = "Ranks by nearness to one predicted point: if a user might like different items next, their mean is near none of them."
TRAINING = {"updates", "selected_update", "selected_by", "validation", "diverged", "device", "seed", "questions"}


class ModelCard(Record):
    """One policy: its method, its intended use, its limits and its training."""

    name: str
    kind: str  # policy, champion or baseline
    learner: str
    digest: str
    summary: str
    paper: str
    intended_use: str
    limits: tuple[str, ...]
    trained_on: str  # digest of the dataset
    updates: int | None
    selected_update: int | None
    selected_by: str | None
    validation: float | None  # the metric of the selected checkpoint
    diverged: str | None
    device: str | None
    seed: int | None
    questions: tuple[TunedWeights, ...] = Field(description="The weights of a ranking policy's terms, by question.")
    hyper_parameters: dict[str, Setting]


class GridSearch(Record):
    """The grid search of one baseline, by NDCG@10 on validation users."""

    name: str
    config: dict[str, Setting]
    validation: float | None
    tried: int
    worst: float | None


class Input(Record):
    """One artifact that the report was made from, and that artifact's own inputs."""

    role: str
    kind: str
    digest: str
    sha256: str
    code: str
    inputs: dict[str, str]
    origin: str | None = Field(None, description="URI it was pulled from; none: it was made where the report was made.")


class Provenance(Record):
    """The artifacts, code, parameters and package versions behind the report."""

    report: str  # its digest
    code: str  # fingerprint of what made it
    inputs: tuple[Input, ...]
    parameters: dict[str, Setting]
    versions: dict[str, str]

    def origin_of(self, role: str) -> str | None:
        """The URI that an input was pulled from; None if it was made here."""
        return next((one.origin for one in self.inputs if one.role == role), None)


class CardsSection(Record):
    """All cards of one report."""

    dataset: DatasetCard
    models: tuple[ModelCard, ...]
    baselines: tuple[GridSearch, ...]
    provenance: Provenance
    drift: tuple[Stability, ...] = Field(
        (),
        description="Later events compared with those of the dataset that this one extends; empty if it extends none.",
    )


def model_card(name: str, kind: str, manifest: Manifest) -> ModelCard:
    """The model card from a policy's manifest.

    Raises:
        ArtifactError: the manifest says something else than policies of this version do.
    """
    try:
        facts = PolicyFacts.model_validate(manifest.recipe.parameters | manifest.facts)
    except ValidationError as error:
        raise not_readable(manifest, error) from error
    entry = entry_of(facts.learner) or method_of(facts.learner)
    return ModelCard(
        name=name,
        kind=kind,
        learner=facts.learner,
        digest=manifest.digest,
        summary=(ENSEMBLE_OF.format(len(facts.members)) if facts.members else "") + (entry.summary if entry else ""),
        paper=entry.paper if entry else "",
        intended_use=INTENDED_USE,
        limits=(
            SIMULATED_LIMIT if entry and entry.learns_from == "environment" else LOGGED_LIMIT,
            *LIMITS,
            *((NEAREST_LIMIT,) if entry and entry.learns_from != "sequences" else ()),
        ),
        trained_on=manifest.recipe.inputs.get("dataset", ""),
        **facts.model_dump(include=TRAINING),
        hyper_parameters=flat(facts.config) | flat({"trainer": facts.trainer}),
    )


def not_readable(manifest: Manifest, error: ValidationError) -> ArtifactError:
    """The error of a manifest whose facts or parameters are not those that a card needs."""
    first = error.errors(include_url=False)[0]
    where = ".".join(map(str, first["loc"]))
    return ArtifactError(
        f"{manifest.recipe.kind}/{manifest.digest}: expected facts of this version; found {where}: {first['msg']}. "
        "Make and publish it again."
    )


def tunings(table: Sequence[Mapping[str, Any]], criterion: str) -> tuple[GridSearch, ...]:
    """The tuning of all baselines, from the rows of `evaluation.baselines.tuning_table`."""
    return tuple(
        GridSearch(
            name=row["name"],
            config=row["config"],
            validation=row["validation"].get(criterion),
            tried=row["tried"],
            worst=row["worst"],
        )
        for row in table
    )


def input_of(role: str, manifest: Manifest, origin: str | None = None) -> Input:
    """The provenance of one artifact, which was pulled from `origin` or made here."""
    return Input(
        role=role,
        kind=manifest.recipe.kind,
        digest=manifest.digest,
        sha256=manifest.sha256,
        code=manifest.recipe.code,
        inputs=manifest.recipe.inputs,
        origin=origin,
    )


def flat(nested: Mapping[str, Any]) -> dict[str, Setting]:
    """Nested parameters with dotted names; a list becomes text."""
    found: dict[str, Setting] = {}
    for name, value in nested.items():
        if isinstance(value, Mapping):
            found |= {f"{name}.{inner}": part for inner, part in flat(value).items()}
        elif isinstance(value, list | tuple):
            found[name] = ", ".join(map(str, value))
        else:
            found[name] = value
    return found
