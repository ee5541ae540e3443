"""The card of a published policy in markdown: data, licence, metrics with intervals, limits, files, and how to load it."""

from datetime import UTC, datetime

from pydantic import BaseModel, ConfigDict, ValidationError

from evaluation.report.sections.cards.dataset_card import caveats
from evaluation.report.sections.cards.numbers import ModelCard, Setting, model_card, not_readable
from models.term_weights import TunedWeights
from storage.artifacts.manifest import Manifest
from storage.markdown import markdown_table, plain

COUNTED = ("users", "items", "events", "transitions")


class ReportFacts(BaseModel):
    """What the card needs of the facts in a report's manifest, which may come from elsewhere."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    methods: tuple[dict[str, Setting], ...]
    headline: str


def model_card_markdown(policy: Manifest, dataset: Manifest | None, report: Manifest | None, uri: str) -> str:
    """The card of a policy, from manifests alone.

    Args:
        policy: its manifest.
        dataset: the manifest of the dataset that it was trained on; None if that is not published.
        report: the manifest of a report; its metrics are in the card if it evaluates this policy.
        uri: where the policy is published.

    Raises:
        ArtifactError: the manifest of the policy or of the report does not have the facts of this version.
    """
    card = model_card("unknown", "policy", policy)
    limits = (*caveats(policy.generated, None, None), *card.limits)
    files = ({"file": one.path, "bytes": f"{one.size_bytes:,}", "SHA-256": one.sha256} for one in policy.files)
    sections = (
        f"# Policy {plain(card.learner)}, {policy.digest[:12]}",
        f"{card.summary} {f'Source: {card.paper}.' if card.paper else ''}",
        f"## Use\n\n{card.intended_use}",
        f"## Data\n\n{data_text(policy, dataset)}",
        f"## Metrics\n\n{metrics_text(policy, card.validation, report)}",
        "## Limits\n\n" + "\n".join(f"- {limit}" for limit in limits),
        f"## Load it\n\n{loading_text(policy, uri)}",
        f"## Training\n\n{training_text(card, policy.created_at)}",
        f"## Files\n\n{markdown_table(files, plain)}",
    )
    return "\n\n".join(part.strip() for part in sections) + "\n"


def data_text(policy: Manifest, dataset: Manifest | None) -> str:
    """What the policy was trained on, and under which terms."""
    lines = [
        f"- Dataset `{policy.recipe.inputs.get('dataset', 'unknown')}`{'' if dataset else ', which is not published'}"
    ]
    if dataset is not None:
        counts = (f"{dataset.facts[name]:,} {name}" for name in COUNTED if isinstance(dataset.facts.get(name), int))
        lines.append(f"- {', '.join(counts)}")
    none = "none, the data is generated" if policy.generated else "none are recorded"
    lines += [f"- Terms: {plain(text)}" for text in policy.licences] or [f"- Terms: {none}"]
    return "\n".join(lines)


def metrics_text(policy: Manifest, validation: float | None, report: Manifest | None) -> str:
    """The metrics of the policy and of what it was compared with, on test users, and its validation metric."""
    lines = ["" if validation is None else f"NDCG@10 on validation users: {validation:.4f}."]
    inputs = {} if report is None else report.recipe.inputs
    names = [name.partition(".")[2] for name, used in inputs.items() if used in (policy.digest, policy.sha256)]
    if report is None or not names:
        return "\n".join([*lines, "No published report evaluates this policy."])
    try:
        facts = ReportFacts.model_validate(report.facts)
    except ValidationError as error:
        raise not_readable(report, error) from error
    lines += [
        "",
        f"Each method ranks the whole catalogue for the next choices of test users, without the items that they have rated. From "
        f"report `{report.digest}`; 95 %: the interval of NDCG@10. This policy is {plain(names[0])}.",
        "",
    ]
    rows = ({name: as_text(value) for name, value in row.items()} for row in facts.methods)
    lines += [markdown_table(rows, plain), "", plain(facts.headline)]
    return "\n".join(lines)


def loading_text(policy: Manifest, uri: str) -> str:
    """Five lines of Python."""
    return f"""```python
import marquee
recommender = marquee.load("{uri}", "policy@{policy.digest}")
liked = recommender.catalogue.by_title.search("a title", 1)
history = tuple(marquee.Rated(movie_id=int(recommender.catalogue.ids[item]), rating=5) for item in liked)
print(recommender.recommend(marquee.Question(history=history, k=10)).items)
```

Weights are safetensors; no file is a pickle. Every byte is verified when the policy is pulled."""


def training_text(card: ModelCard, created_at: str) -> str:
    """When and how the policy was trained."""
    facts = {
        "trained on": datetime.fromisoformat(created_at).astimezone(UTC).date(),
        "updates": card.updates,
        "selected at update": card.selected_update,
        "selected by": card.selected_by,
        "seed": card.seed,
        "device": card.device,
        **{f"shares of the score for “{one.question}”": shares_text(one) for one in card.questions},
        **card.hyper_parameters,
    }
    rows = ({"parameter": name, "value": as_text(value)} for name, value in facts.items() if value is not None)
    return markdown_table(rows, plain)


def shares_text(tuned: TunedWeights) -> str:
    """The terms' shares of the score for one question, and the weight of the critics."""
    named = (f"{name.replace('_', ' ')} {share:.0%}" for name, share in tuned.shares.items() if share > 0)
    return f"{', '.join(named)}; critics' weight {tuned.critic:g}"


def as_text(value: object) -> str:
    """A value as text."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
