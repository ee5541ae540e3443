"""What was judged, on what, and what all of it was made from: dataset card, model cards, baselines' tuning, provenance."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import altair as alt
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation.report.figures import COLOURS, finished
from evaluation.report.page import Chart
from evaluation.report.sections.learner_notes import INTENDED_USE, LADDER_LIMIT, LIMITS, NOTES, Note
from evaluation.report.sections.section import Section
from models.learners import LADDER
from storage.artifacts.manifest import Manifest
from storage.dataset.format import SPLIT_NAMES
from storage.dataset.reader import TransitionDataset

Setting = str | int | float | bool | None
DAY = 86_400


class SplitSize(Section):
    """One split: who is in it and how many steps it holds."""

    name: str
    what: str
    users: int
    events: int | None
    transitions: int


class RatingCount(Section):
    """How often a rating was given."""

    rating: float
    events: int


class Quantiles(Section):
    """Of a count per user or item: least, quarter, half, three quarters, nine tenths, most."""

    least: float
    q25: float
    q50: float
    q75: float
    q90: float
    most: float


class DatasetCard(Section):
    """What the data is, how it is split, and what a reader must know of it."""

    digest: str
    generated: bool
    users: int
    items: int
    events: int
    transitions: int
    frame: int
    dim: int
    first_event: str | None  # a date
    last_event: str | None
    time_cut: str
    splits: tuple[SplitSize, ...]
    ratings: tuple[RatingCount, ...]
    mean_rating: float | None
    events_per_user: Quantiles
    events_per_item: Quantiles
    items_without_events: int
    density: float | None  # share of all user-item pairs that are rated
    same_second_share: float | None  # of neighbouring events
    one_day_users_share: float | None
    licences: tuple[str, ...]
    caveats: tuple[str, ...]


class ModelCard(Section):
    """One policy: what it is, what it is for, how it was trained."""

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
    validation: float | None  # what it was selected at
    diverged: str | None
    device: str | None
    seed: int | None
    shares: dict[str, float]
    hyper_parameters: dict[str, Setting]


class Tuning(Section):
    """What was tried of one baseline, and what was chosen, by NDCG@10 of validation users."""

    name: str
    config: dict[str, Setting]
    validation: float | None
    tried: int
    worst: float | None


class Input(Section):
    """One artifact the report was made from, and what that was made from."""

    role: str
    kind: str
    digest: str
    sha256: str
    code: str
    inputs: dict[str, str]


class Provenance(Section):
    """What produced this report."""

    report: str  # its digest
    code: str  # fingerprint of what made it
    inputs: tuple[Input, ...]
    parameters: dict[str, Setting]
    versions: dict[str, str]


class CardsSection(Section):
    """All cards of one report."""

    dataset: DatasetCard
    models: tuple[ModelCard, ...]
    baselines: tuple[Tuning, ...]
    provenance: Provenance


def dataset_card(dataset: TransitionDataset, manifest: Manifest) -> DatasetCard:
    """Count and describe a dataset."""
    sizes = dataset.offset.diff().cpu().numpy()
    times = dataset.timestamps()
    codes = np.bincount(dataset.rating_code.cpu().numpy(), minlength=256)
    given = np.flatnonzero(codes)
    ratings = dataset.scale.rating_min + dataset.scale.step * given
    per_item = np.bincount(dataset.item.cpu().numpy(), minlength=dataset.items)
    apart, inside = np.diff(times), np.ones(max(len(times) - 1, 0), dtype=bool)
    borders = dataset.head.offset[1:-1]
    inside[borders[(borders > 0) & (borders < len(times))] - 1] = False
    same_second = float((apart[inside] == 0).mean()) if inside.any() else None
    there = sizes > 0
    first, last = dataset.head.offset[:-1][there], dataset.head.offset[1:][there] - 1
    one_day = float((times[last] - times[first] < DAY).mean()) if there.any() else None
    return DatasetCard(
        digest=manifest.digest,
        generated=manifest.generated,
        users=len(sizes),
        items=dataset.items,
        events=len(times),
        transitions=len(dataset),
        frame=dataset.frame,
        dim=dataset.dim,
        first_event=date(int(times.min())) if len(times) else None,
        last_event=date(int(times.max())) if len(times) else None,
        time_cut=date(dataset.head.time_cut),
        splits=split_sizes(dataset, sizes),
        ratings=tuple(
            RatingCount(rating=float(rating), events=int(codes[code]))
            for rating, code in zip(ratings, given, strict=True)
        ),
        mean_rating=float((ratings * codes[given]).sum() / codes.sum()) if len(given) else None,
        events_per_user=quantiles(sizes),
        events_per_item=quantiles(per_item),
        items_without_events=int((per_item == 0).sum()),
        density=len(times) / (len(sizes) * dataset.items) if len(sizes) and dataset.items else None,
        same_second_share=same_second,
        one_day_users_share=one_day,
        licences=manifest.licences,
        caveats=caveats(manifest.generated, same_second, one_day),
    )


def split_sizes(dataset: TransitionDataset, sizes: NDArray[np.int64]) -> tuple[SplitSize, ...]:
    """Users, events and transitions of every split."""
    words = {
        "train": "learnt from, up to the time cut",
        "validation": "choose checkpoints and hyper-parameters",
        "test": "judged on, in every report of this dataset; no method was fitted, tuned or chosen on them",
    }
    found = []
    for code, name in enumerate(SPLIT_NAMES):
        users = dataset.user_split == code
        number = len(dataset.starts(name))  # type: ignore[arg-type]
        found.append(
            SplitSize(
                name=name, what=words[name], users=int(users.sum()), events=int(sizes[users].sum()), transitions=number
            )
        )
    late = dataset.starts("time")
    users_late = len(dataset.users_of(late).unique())
    what = "training users' steps after the time cut"
    return (*found, SplitSize(name="time", what=what, users=users_late, events=None, transitions=len(late)))


def caveats(generated: bool, same_second: float | None, one_day: float | None) -> tuple[str, ...]:
    """What every reader of numbers from this data must know."""
    said = []
    if generated:
        said.append(
            "The ratings are generated from known preferences: they show that the pipeline works, not how people are."
        )
    if same_second is not None and one_day is not None and (same_second > 0.01 or one_day > 0.1):
        said.append(
            f"Order in these ratings is partly the order of the page people rated on: {same_second:.0%} of neighbouring events share "
            f"a second and {one_day:.0%} of the users did everything within one day. Next-item numbers flatter "
            "methods that use order; by Mult-VAE's protocol order does not count."
        )
    said.append(
        "Ratings are choices of what to rate: items nobody rated are not disliked, and who rates is not who watches."
    )
    return tuple(said)


def quantiles(counts: NDArray[np.int64]) -> Quantiles:
    """Of counts (N,); zeros where there are none."""
    values = np.quantile(counts, (0, 0.25, 0.5, 0.75, 0.9, 1)).tolist() if len(counts) else [0.0] * 6
    return Quantiles(**dict(zip(Quantiles.model_fields, values, strict=True)))


def date(seconds: int) -> str:
    """The day of a unix time, in UTC."""
    return datetime.fromtimestamp(seconds, UTC).date().isoformat()


def model_card(name: str, kind: str, manifest: Manifest) -> ModelCard:
    """What the manifest of a policy says of it."""
    facts, recipe = manifest.facts, manifest.recipe
    learner = str(facts.get("learner", name))
    note = NOTES.get(learner, Note("", ""))
    settings = flat(recipe.parameters.get("config", {})) | {
        f"trainer.{key}": value for key, value in flat(recipe.parameters.get("trainer", {})).items()
    }
    return ModelCard(
        name=name,
        kind=kind,
        learner=learner,
        digest=manifest.digest,
        summary=note.summary,
        paper=note.paper,
        intended_use=INTENDED_USE,
        limits=(*LIMITS, *((LADDER_LIMIT,) if learner in LADDER else ())),
        trained_on=recipe.inputs.get("dataset", ""),
        updates=facts.get("updates"),
        selected_update=facts.get("selected_update"),
        selected_by=facts.get("selected_by"),
        validation=facts.get("validation_ndcg@10"),
        diverged=facts.get("diverged"),
        device=facts.get("device"),
        seed=recipe.parameters.get("seed"),
        shares=facts.get("shares", {}),
        hyper_parameters=settings,
    )


def tunings(table: Sequence[Mapping[str, Any]], criterion: str) -> tuple[Tuning, ...]:
    """Of the rows of `evaluation.baselines.tuning_table`."""
    return tuple(
        Tuning(
            name=row["name"],
            config=row["config"],
            validation=row["validation"].get(criterion),
            tried=row["tried"],
            worst=row["worst"],
        )
        for row in table
    )


def input_of(role: str, manifest: Manifest) -> Input:
    """One artifact's line in the provenance."""
    return Input(
        role=role,
        kind=manifest.recipe.kind,
        digest=manifest.digest,
        sha256=manifest.sha256,
        code=manifest.recipe.code,
        inputs=manifest.recipe.inputs,
    )


def flat(nested: Mapping[str, Any]) -> dict[str, Setting]:
    """Parameters of parameters under names with dots; a list as text."""
    found: dict[str, Setting] = {}
    for name, value in nested.items():
        if isinstance(value, Mapping):
            found |= {f"{name}.{inner}": part for inner, part in flat(value).items()}
        elif isinstance(value, list | tuple):
            found[name] = ", ".join(map(str, value))
        else:
            found[name] = value
    return found


def charts(section: CardsSection) -> list[Chart]:
    """How ratings are spread."""
    data = pd.DataFrame([count.model_dump() for count in section.dataset.ratings], columns=["rating", "events"])
    if data.empty:
        return []
    data["share"] = data["events"] / data["events"].sum()
    chart = (
        alt.Chart(data)
        .mark_bar(color=COLOURS[0])
        .encode(
            x=alt.X("rating:O", title="rating", axis=alt.Axis(labelAngle=0)),
            y=alt.Y("share:Q", title="share of events", axis=alt.Axis(format="%")),
            tooltip=["rating:O", alt.Tooltip("events:Q", format=","), alt.Tooltip("share:Q", format=".1%")],
        )
        .properties(width=330, height=180)
    )
    return [("ratings", "Ratings", "How often each rating was given, over all events.", finished(chart))]
