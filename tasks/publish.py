"""Upload artifacts, and move the alias `latest` and those of the learners."""

import logging
from typing import Any

from prefect import task
from prefect.tasks import exponential_backoff
from pydantic import BaseModel, ConfigDict, Field

from evaluation.protocols.promotion import PromotionParams
from serving.index.params import IndexParams
from storage.artifacts.aliases import move_alias
from storage.artifacts.object_stores import open_store
from storage.artifacts.publishing import publish
from storage.artifacts.store import ArtifactRef
from storage.home import home
from tasks.caching import artifact_store, is_worth_retrying
from tasks.promote import Rule
from tasks.story import add_section, show_text

logger = logging.getLogger("marquee.publish")


class PublishParams(BaseModel):
    """Where to publish, and when the champion changes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    to: str | None = Field(
        None, description="s3://bucket/prefix or a folder; default: published/ in the work directory."
    )
    champion: Rule = Field(
        "if-better",
        description="When policy@champion moves to the best new policy. if-better: there is no champion yet, or the interval "
        "of `promotion`, of the mean difference to the champion on the new dataset's validation users, lies above 0. A "
        "champion that cannot rank the dataset's items stays, and so does one that replaced the policy by a rollback.",
    )
    promotion: PromotionParams = Field(PromotionParams(), description="How if-better compares the two.")
    index: IndexParams | None = Field(
        None, description="Publish an item index with the best policy, as item-index@latest; none: no index."
    )


def destination(params: PublishParams) -> str:
    """The URI that artifacts are published to."""
    return open_store(params.to or str(home() / "published")).uri


@task(
    name="publish",
    task_run_name="publish-{ref.kind}",
    retries=2,
    retry_delay_seconds=exponential_backoff(2),
    retry_condition_fn=is_worth_retrying,
)
def publish_artifact(ref: ArtifactRef, to: str) -> None:
    """Upload an artifact, unless it is published already."""
    uploaded = publish(open_store(to), artifact_store(), ref)
    logger.info("%s/%s: %s", ref.kind, ref.digest, "published" if uploaded else "was published already")


def best_policy(policies: dict[str, ArtifactRef]) -> tuple[str, float]:
    """The learner whose policy has the highest NDCG@10 on the validation users, and that NDCG@10."""
    score = {name: validation_score(ref) for name, ref in policies.items()}
    best = max(score, key=lambda name: score[name])
    return best, score[best]


def validation_score(policy: ArtifactRef) -> float:
    """A policy's NDCG@10 on the validation users."""
    return float(artifact_store().manifest(policy).facts["validation_ndcg@10"])


@task(name="move-aliases")
def move_aliases(dataset: ArtifactRef, policies: dict[str, ArtifactRef], report: ArtifactRef, to: str) -> None:
    """Move `latest` to these artifacts, and each learner's alias to its policy."""
    store = open_store(to)
    best, score = best_policy(policies)
    move_alias(store, dataset, "latest", {})
    move_alias(store, report, "latest", {"dataset": dataset.digest})
    for name, ref in policies.items():
        move_alias(store, ref, name, why_named(dataset, name, ref))
    move_alias(store, policies[best], "latest", why_named(dataset, best, policies[best]))
    lines = [
        f"Published to `{store.uri}`.",
        "",
        f"- policy@latest: {best} ({policies[best].digest}), validation NDCG@10 {score:.4f}",
        "",
        f"`marquee pull policy@latest --from {store.uri} --to pulled`",
    ]
    show_text("published", "\n".join(lines), "Where the artifacts are")
    add_section("Published", "\n".join(lines))


def why_named(dataset: ArtifactRef, learner: str, policy: ArtifactRef) -> dict[str, Any]:
    """What an alias of a policy keeps about it."""
    return {"dataset": dataset.digest, "learner": learner, "validation_ndcg@10": validation_score(policy)}
