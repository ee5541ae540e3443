"""Export, training, publishing and pulling are failed at each boundary: readers see old or new, and a rerun completes."""

import shutil
from pathlib import Path

import pytest
import torch
from crash.artifacts_support import (
    RECIPE,
    free_of_leftovers,
    in_child,
    make_artifact,
    own_artifact,
    publish_as_latest,
    tree,
)
from crash.faults_support import Outcome, table, try_all
from safetensors.torch import save_file
from torch import Tensor

from models.batch import Batch
from models.learners.registry import make_learner
from models.learners.td3_bc import TD3BCConfig
from models.sampling import UniformSampler
from models.space import Space
from models.trainer import Trainer
from models.trainer_config import TrainerConfig
from storage.artifacts.aliases import read_alias
from storage.artifacts.manifest import Recipe
from storage.artifacts.object_stores import open_store
from storage.artifacts.publishing import publish, pull
from storage.artifacts.store import ArtifactStore
from storage.checkpoints import Checkpoints
from storage.dataset.dense_writer import export_dense

POLICY = Recipe(kind="policy", schema_version=1, parameters={}, inputs={}, code="c")


def report(request: pytest.FixtureRequest, work: str, outcomes: list[Outcome]) -> None:
    """Require that something was tried, and show the boundaries in the summary of the run."""
    assert {outcome.fault for outcome in outcomes} == {"kill", "full disk", "i/o error"}
    request.node.user_properties.append(("boundaries", table(work, outcomes)))


def trying(some: int) -> pytest.MarkDecorator:
    """Try each `some`-th boundary in `make test`, and all of them in `make test-all`."""
    return pytest.mark.parametrize("every", [some, pytest.param(1, marks=pytest.mark.nightly)], ids=["some", "all"])


@pytest.mark.usefixtures("strace")
@trying(7)
def test_an_artifact_is_whole_or_absent(every: int, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    home = tmp_path / "home"
    in_child(lambda: make_artifact(tmp_path / "usual"))
    usual = tree(tmp_path / "usual")

    def check(outcome: Outcome) -> None:
        found = ArtifactStore(home / "artifacts").find("dataset", RECIPE.digest)
        assert found is not None or outcome.ended != "finished", str(outcome)
        assert tree(home) in ({}, usual), str(outcome)

    def again() -> None:
        in_child(lambda: make_artifact(home))
        assert tree(home) == usual
        free_of_leftovers(home)

    work = lambda: make_artifact(home)  # noqa: E731
    report(request, "export", try_all(lambda: shutil.rmtree(home, ignore_errors=True), work, check, again, every))


@pytest.mark.usefixtures("strace")
@trying(7)
def test_a_dense_file_is_old_or_new(every: int, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    in_child(lambda: make_artifact(tmp_path / "home"))
    data = next((tmp_path / "home").rglob("transitions.h5"))
    out = tmp_path / "out"
    in_child(lambda: export_dense(data, tmp_path / "usual.h5", splits=("all",)))
    usual = (tmp_path / "usual.h5").read_bytes()

    def prepare() -> None:
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir()
        (out / "dense.h5").write_text("old")

    def work() -> None:
        export_dense(data, out / "dense.h5", splits=("all",))

    def check(outcome: Outcome) -> None:
        assert (out / "dense.h5").read_bytes() in (b"old", usual), str(outcome)

    def again() -> None:
        in_child(work)
        assert (out / "dense.h5").read_bytes() == usual
        free_of_leftovers(out)

    report(request, "export, dense", try_all(prepare, work, check, again, every))


@pytest.mark.usefixtures("strace")
@trying(7)
def test_an_alias_names_a_whole_artifact(every: int, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    artifacts, ref = own_artifact(tmp_path / "home")
    to = tmp_path / "published"

    def work() -> None:
        publish_as_latest(str(to), artifacts, ref)

    def check(outcome: Outcome) -> None:
        if read_alias(open_store(str(to)), "dataset", "latest") is not None:
            in_child(lambda: pull(open_store(str(to)), "dataset@latest", tmp_path / "pulled"))
            assert tree(tmp_path / "pulled") == tree(artifacts.root), str(outcome)
            shutil.rmtree(tmp_path / "pulled")
        assert not list(tmp_path.rglob("pulled/*")), str(outcome)

    def again() -> None:
        in_child(work)
        in_child(lambda: pull(open_store(str(to)), "dataset@latest", tmp_path / "pulled"))
        assert tree(tmp_path / "pulled") == tree(artifacts.root)
        shutil.rmtree(tmp_path / "pulled")
        free_of_leftovers(to)

    report(request, "publish", try_all(lambda: shutil.rmtree(to, ignore_errors=True), work, check, again, every))


@pytest.mark.usefixtures("strace")
@trying(7)
def test_a_pulled_artifact_is_whole_or_absent(every: int, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    artifacts, ref = own_artifact(tmp_path / "home")
    in_child(lambda: publish(open_store(str(tmp_path / "published")), artifacts, ref))
    to = tmp_path / "pulled"

    def work() -> None:
        pull(open_store(str(tmp_path / "published")), f"dataset@{ref.digest}", to)

    def check(outcome: Outcome) -> None:
        assert tree(to) in ({}, tree(artifacts.root)), str(outcome)

    def again() -> None:
        in_child(work)
        assert tree(to) == tree(artifacts.root)
        free_of_leftovers(to)

    report(request, "pull", try_all(lambda: shutil.rmtree(to, ignore_errors=True), work, check, again, every))


def train(home: Path) -> None:
    """Some updates of a small learner, with checkpoints, and its policy as an artifact."""
    torch.set_num_threads(1)
    config = TrainerConfig(steps=12, batch_size=8, log_every=3, validate_every=3, checkpoint_every=3)
    learner = make_learner(TD3BCConfig(hidden_dim=8), Space(3, 2, 1.0, -4.0, 5.0), "cpu", 0)

    def gather(starts: Tensor) -> Batch:
        x = starts.float().unsqueeze(1)
        wide, narrow = x.sin().repeat(1, 3), x.cos().repeat(1, 2)
        return Batch(wide, narrow, x[:, 0].sin(), wide.cos(), torch.zeros(len(x)))

    held_out = gather(torch.arange(20))
    run = Trainer(
        learner,
        UniformSampler(torch.arange(50), 8, 3),
        gather,
        lambda: {"ndcg@10": run.step / 100} | {name: float(loss) for name, loss in learner.losses(held_out).items()},
        config,
    )
    checkpoints = Checkpoints(home / "checkpoints")
    if (found := checkpoints.load_latest()) is not None:
        run.load_state_dict(found[1])
    run.run(lambda *_: None, checkpoints.save)
    learner.acting.load_state_dict(run.best_policy)
    with ArtifactStore(home / "artifacts").create(POLICY) as draft:
        save_file(dict(learner.acting.state_dict()), draft.path / "policy.safetensors")
    checkpoints.clear()


@pytest.mark.usefixtures("strace")
@trying(31)
def test_training_ends_with_the_usual_policy(every: int, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    home = tmp_path / "home"
    in_child(lambda: train(tmp_path / "usual"))
    usual = tree(tmp_path / "usual")
    assert usual

    def check(outcome: Outcome) -> None:
        assert tree(home / "artifacts") in ({}, tree(tmp_path / "usual" / "artifacts")), str(outcome)

    def again() -> None:
        in_child(lambda: train(home))
        assert tree(home) == usual
        free_of_leftovers(home)

    def work() -> None:
        train(home)

    report(request, "training", try_all(lambda: shutil.rmtree(home, ignore_errors=True), work, check, again, every))
