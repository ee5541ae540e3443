"""What the sections of a report are measured from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation.protocols.beyond_accuracy import ItemFacts
from evaluation.protocols.cases import Cases
from evaluation.protocols.distances import Acting
from evaluation.protocols.population_stability import Stability
from evaluation.protocols.promotion import ChampionComparison
from evaluation.record import Record
from evaluation.simulated_dataset import SimulatedDataset
from models.histories import Scorer
from storage.artifacts.manifest import Manifest
from storage.dataset.reader import TransitionDataset

if TYPE_CHECKING:  # these modules import this one
    from evaluation.evaluate import EvaluateParams
    from evaluation.report.sections.cards.numbers import Provenance
    from evaluation.report.sections.methods.numbers import Cost, Kind, MethodsSection
    from evaluation.report.sections.popularity.numbers import PopularityView


@dataclass(frozen=True)
class ComparedMethod:
    """One method that is evaluated.

    Attributes:
        name: unique among all.
        kind: its role in the comparison.
        scorer: ranks items.
        cost: what its training or fit took, if known.
    """

    name: str
    kind: "Kind"
    scorer: Scorer
    cost: "Cost | None" = None


@dataclass(frozen=True)
class Subject:
    """What the report is about besides methods; U users, I items.

    Attributes:
        title: of the page.
        titles: (I,), with years.
        groups: (I,) each item's main genre, or a similar group; "" if unknown.
        simulated: the simulated users behind generated ratings.
        dataset: its manifest.
        policies: by name the manifests of the policies and the champion.
        curves: by policy the metrics logged in training: columns step, split, metric, value.
        tuning: rows of `evaluation.baselines.tuning_table`.
        provenance: the artifacts, parameters and code behind the report.
        cautions: further warnings for the verdict.
        comparison: of the best policy with the champion on validation users, which decides about promotion.
        drift: of later events, if the dataset extends another one and was checked for it.
    """

    title: str
    titles: Sequence[str]
    groups: Sequence[str]
    simulated: SimulatedDataset | None
    dataset: Manifest
    policies: Mapping[str, Manifest]
    curves: Mapping[str, pd.DataFrame]
    tuning: Sequence[Mapping[str, Any]]
    provenance: "Provenance"
    cautions: Sequence[str] = ()
    comparison: ChampionComparison | None = None
    drift: Sequence[Stability] = ()


@dataclass(frozen=True)
class ShownLists:
    """The recommendations to test users that examples and the map show.

    Attributes:
        cases: T next-item cases of test users.
        best: by method the first k items of each list, (T, k); -1 is no item.
    """

    cases: Cases
    best: dict[str, NDArray[np.int64]]


@dataclass(frozen=True)
class Evidence:
    """What the sections of a report are measured from.

    Attributes:
        data: the dataset, on the CPU.
        facts: of its items.
        compared_methods: policies first, in the order of their colours.
        subject: what the report is about.
        params: how to evaluate.
        methods: the metrics of every method on every set of cases, and the tests.
        popularity: popularity bias of every method, by set of cases.
        shown: None without test users.
        measured: the numbers of the sections that have been measured, by name.
    """

    data: TransitionDataset
    facts: ItemFacts
    compared_methods: Sequence[ComparedMethod]
    subject: Subject
    params: "EvaluateParams"
    methods: "MethodsSection"
    popularity: Sequence["PopularityView"]
    shown: ShownLists | None
    measured: Mapping[str, Record | None] = field(default_factory=dict)

    @property
    def scorers(self) -> dict[str, Scorer]:
        """All methods by name."""
        return {one.name: one.scorer for one in self.compared_methods}

    @property
    def acting(self) -> dict[str, Acting]:
        """The policies that answer with a point among the item embeddings, by name."""
        policies = {one.name: one.scorer for one in self.compared_methods if one.kind != "baseline"}
        return {name: scorer for name, scorer in policies.items() if isinstance(scorer, Acting)}

    @property
    def baselines(self) -> list[str]:
        """The names of the baselines."""
        return [one.name for one in self.compared_methods if one.kind == "baseline"]
