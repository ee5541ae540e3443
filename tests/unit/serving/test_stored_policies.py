"""Policies that somebody else has made: what is wrong with their files is said, and nothing else happens."""

import json
import math
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch import Tensor
from unit.storage.dataset.transitions_support import written

from models.errors import LearnerError, PolicyError
from models.fitted_terms import TrainingCatalogue
from models.histories import Histories
from models.networks import Actor, Critics
from models.policy import Policy, Publishable
from models.ranking_policy import RankingPolicy
from models.ranking_policy_config import RankingPolicyConfig
from models.term_weights import TermWeights
from serving.stored_policies import curves_of, facts_of, load_on, load_policy
from storage.artifacts.manifest import Manifest, Recipe
from storage.artifacts.store import ArtifactStore
from storage.dataset.item_table import read_item_embeddings
from storage.dataset.reader import TransitionDataset
from storage.errors import DatasetError

STATES = ("frame", "gru", "attention")
Change = Callable[[Path], object]


def nearest(embedding: Tensor, frame: int) -> Policy:
    dim = embedding.shape[1]
    size = frame * (dim + 1)
    return Policy(Actor(size, dim, 8, 1.0), embedding, "cosine", Critics(2, size, dim, 8), 5)


def ranking(embedding: Tensor, state: str) -> RankingPolicy:
    items = torch.tensor([1, 4, 7])
    config = RankingPolicyConfig.model_validate(
        {"state": state, "width": 4, "length": 5, "frame": 2, "critic_width": 4}
    )
    counts = torch.arange(len(embedding))
    catalogue = TrainingCatalogue(embedding, counts, counts // 2, items, torch.randn(3, 3), torch.randn(3, 3), 5.0)
    policy = RankingPolicy(config, catalogue).eval()
    policy.weights["next"] = TermWeights(actor=1.0, popularity=1.0, transitions=1.0, content=4.0, critic=0.1)
    policy.weights["liked"] = TermWeights(associations=1.0, cold=2.0)
    return policy


def stored(folder: Path, policy: Publishable, data: TransitionDataset) -> Path:
    folder.mkdir()
    save_file(policy.tensors(), folder / "policy.safetensors")
    (folder / "config.json").write_text(json.dumps(policy.config()))
    flat = pa.array(data.embedding.numpy().reshape(-1))
    columns = {"movie_id": data.movie_ids, "embedding": pa.FixedSizeListArray.from_arrays(flat, data.dim)}
    pq.write_table(pa.table(columns), folder / "items.parquet")
    rows = pd.DataFrame([(1, "train", "actor_loss", 0.5)], columns=["step", "split", "metric", "value"])
    pq.write_table(pa.Table.from_pandas(rows, preserve_index=False), folder / "metrics.parquet")
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> TransitionDataset:
    return written(tmp_path_factory.mktemp("data"), [8, 9, 30, 5])


@pytest.fixture(scope="module")
def policies(tmp_path_factory: pytest.TempPathFactory, data: TransitionDataset) -> dict[str, Path]:
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("policies")
    made: dict[str, Publishable] = {"nearest": nearest(data.embedding, data.frame)}
    made |= {state: ranking(data.embedding, state) for state in STATES}
    return {name: stored(folder / name, policy, data) for name, policy in made.items()}


def copied(policy: Path, folder: Path) -> Path:
    return Path(shutil.copytree(policy, folder / "policy"))


def probe(data: TransitionDataset) -> Histories:
    return Histories(*data.histories(data.starts("all")[:6]))


@pytest.mark.parametrize("name", ["nearest", *STATES])
def test_a_valid_policy_loads_on_its_own_and_on_another_catalogue(
    policies: dict[str, Path], data: TransitionDataset, tmp_path: Path, name: str
) -> None:
    again = load_policy(policies[name], data.embedding)
    assert again.scores(probe(data)).isfinite().all()
    assert torch.equal(load_on(policies[name], data).scores(probe(data)), again.scores(probe(data)))
    other = written(tmp_path, [8, 9, 30, 5], movie_ids=np.arange(20) * 7 + 70)
    assert load_on(policies[name], other).scores(probe(other)).isfinite().all()
    assert curves_of(policies[name])["metric"].tolist() == ["actor_loss"]


def tensors(change: Callable[[dict[str, Tensor]], object]) -> Change:
    def apply(folder: Path) -> None:
        found = {name: value.clone() for name, value in load_file(folder / "policy.safetensors").items()}
        change(found)
        save_file({name: value.contiguous() for name, value in found.items()}, folder / "policy.safetensors")

    return apply


def config(**changes: Any) -> Change:
    def apply(folder: Path) -> None:
        found = json.loads((folder / "config.json").read_text())
        for name, value in changes.items():
            *parents, last = name.split("__")
            place = found
            for parent in parents:
                place = place[parent]
            if value is ...:
                del place[last]
            else:
                place[last] = value
        (folder / "config.json").write_text(json.dumps(found))

    return apply


def content(name: str, bytes_: bytes | Callable[[bytes], bytes] | None) -> Change:
    def apply(folder: Path) -> None:
        path = folder / name
        if bytes_ is None:
            path.unlink()
        else:
            path.write_bytes(bytes_ if isinstance(bytes_, bytes) else bytes_(path.read_bytes()))

    return apply


def poisoned(name: str, value: float) -> Change:
    return tensors(lambda found: found[name].view(-1)[:1].fill_(value))


ANY: dict[str, tuple[Change, str]] = {
    "no weights": (content("policy.safetensors", None), "expected the weights of a policy"),
    "empty weights": (content("policy.safetensors", b""), "expected the weights of a policy"),
    "torn weights": (content("policy.safetensors", lambda old: old[:-9]), "expected the weights of a policy"),
    "a pickle": (content("policy.safetensors", b"\x80\x04\x95" * 99), "expected the weights of a policy"),
    "a header of 2⁶³ bytes": (
        content("policy.safetensors", b"\xff" * 7 + b"\x7f{}"),
        "expected the weights of a policy",
    ),
    "no config": (content("config.json", None), "expected the config of a policy"),
    "torn config": (content("config.json", b'{"format": "marq'), "expected the config of a policy"),
    "config of another encoding": (content("config.json", b"\xff\xfe{}"), "expected the config of a policy"),
    "config as a list": (content("config.json", b"[]"), "with its format"),
    "config of depth 10⁵": (content("config.json", b"[" * 100_000), "expected the config of a policy"),
    "config of a megabyte": (content("config.json", lambda old: old + b" " * (1 << 20)), "bytes"),
    "format as a list": (config(format=["marquee-policy/3"]), "with its format"),
    "format of tomorrow": (config(format="marquee-policy/99"), "expected format"),
    "a further field": (config(note="x"), "note: Extra inputs"),
    "no tensors": (tensors(dict.clear), "expected weights that fit its config; found missing"),
    "a further tensor": (tensors(lambda found: found.update(more=torch.ones(1))), r"unknown \['more'\]"),
    "no items": (content("items.parquet", None), "expected a whole Parquet table"),
    "torn items": (content("items.parquet", lambda old: old[:-9]), "expected a whole Parquet table"),
}
NEAREST: dict[str, tuple[Change, str]] = {
    "NaN": (
        poisoned("actor.layers.0.weight", math.nan),
        "expected finite weights; found NaN or infinity in actor.layers.0",
    ),
    "infinity": (poisoned("critics.biases.0", -math.inf), "expected finite weights"),
    "wide": (config(hidden_dim=10**9), "hidden_dim: Input should be less than or equal to 4096"),
    "other width": (config(hidden_dim=4096), "weights that fit its config, actor.layers.0.weight"),
    "largest sizes": (config(hidden_dim=4096, critics=64), "weights that fit its config"),
    "no field": (config(similarity=...), "similarity: Field required"),
    "similarity": (config(similarity="exec"), "similarity"),
    "observations": (config(observation_dim=14), "observations that fit embeddings of 4 numbers"),
    "actions": (config(action_dim=5, observation_dim=18), "observations that fit embeddings of 4 numbers"),
    "a text for a number": (config(hidden_dim="8"), "hidden_dim: Input should be a valid integer"),
    "max action of NaN": (config(max_action=math.nan), "max_action"),
    "max action of infinity": (config(max_action=math.inf), "max_action"),
    "candidates": (config(critic_candidates=-1), "critic_candidates"),
    "no critics": (config(critics=0), "expected critics, and no ranking network, that re-rank 5 items"),
    "dtype": (tensors(lambda found: found.update({"actor.layers.0.bias": torch.ones(8).double()})), "of torch.float64"),
}
RANKING: dict[str, tuple[Change, str]] = {
    "NaN": (poisoned("popularity", math.nan), "expected finite weights; found NaN or infinity in popularity"),
    "NaN in the kernel": (poisoned("fitted.transitions", math.nan), "expected finite weights"),
    "NaN in the other kernel": (poisoned("fitted.associations", math.nan), "expected finite weights"),
    "infinite count": (poisoned("fitted.counts", math.inf), "expected finite weights"),
    "negative count": (poisoned("fitted.counts", -5.0), "counts of 0 or more; found -5"),
    "negative recent count": (poisoned("fitted.recent", -5.0), "counts of 0 or more; found -5"),
    "negative item": (poisoned("fitted.items", -1), "ascending items of 0 … 19"),
    "item beyond": (tensors(lambda found: found["fitted.items"][-1:].fill_(20)), "ascending items of 0 … 19"),
    "item twice": (tensors(lambda found: found["fitted.items"][1:].fill_(7)), "ascending items of 0 … 19"),
    "kernel of other rows": (
        tensors(lambda found: found.update({"fitted.items": torch.tensor([1])})),
        "fitted.transitions",
    ),
    "items of two dimensions": (tensors(lambda found: found["fitted.items"].unsqueeze_(1)), "fitted.items"),
    "width": (config(policy__width=10**9), "policy.width: Input should be less than or equal to 4096"),
    "other width": (config(policy__width=4096), "weights that fit its config"),
    "critic width": (config(policy__critic_width=4095), "weights that fit its config"),
    "a further field": (config(policy__note=1), "policy.note: Extra inputs"),
    "attention of odd width": (config(policy__width=5, policy__state="attention"), "width: expected a multiple of 2"),
    "weight of NaN": (config(weights__liked__taste=math.nan), "weights.liked.taste"),
    "no weights of a question": (config(weights__new=...), "expected those of every question; found none of"),
    "an older format": (config(format="marquee-ranking-policy/5"), "expected format"),
    "largest reward": (config(largest_reward=0), "largest_reward"),
    "no policy": (config(policy=None), "policy: Input should be"),
}
CASES = [
    *(("nearest", name, case) for name, case in (ANY | NEAREST).items()),
    *(("gru", name, case) for name, case in (ANY | RANKING).items()),
]


@pytest.mark.parametrize(("kind", "name", "case"), CASES, ids=[f"{kind}: {name}" for kind, name, _ in CASES])
def test_an_invalid_policy_is_refused_with_a_message(
    policies: dict[str, Path], data: TransitionDataset, tmp_path: Path, kind: str, name: str, case: tuple[Change, str]
) -> None:
    folder = copied(policies[kind], tmp_path)
    case[0](folder)
    with pytest.raises((PolicyError, DatasetError), match=case[1]) as refused:
        load_on(folder, data)
    assert str(folder) in str(refused.value)
    assert "; found" in str(refused.value)
    assert len(str(refused.value)) < 2000


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    kind=st.sampled_from(["nearest", "gru"]),
    file=st.sampled_from(["policy.safetensors", "config.json", "items.parquet", "metrics.parquet"]),
    choice=st.data(),
)
def test_a_changed_byte_gives_a_typed_error_or_a_finite_policy(
    policies: dict[str, Path],
    data: TransitionDataset,
    tmp_path_factory: pytest.TempPathFactory,
    kind: str,
    file: str,
    choice: st.DataObject,
) -> None:
    folder = copied(policies[kind], tmp_path_factory.mktemp("changed"))
    whole = bytearray((folder / file).read_bytes())
    place = choice.draw(st.integers(0, len(whole) - 1), label="place")
    whole[place] = choice.draw(st.integers(0, 255), label="value")
    (folder / file).write_bytes(whole)
    try:
        curves_of(folder)
        policy = load_policy(folder, torch.from_numpy(read_item_embeddings(folder / "items.parquet")[1]))
    except (LearnerError, DatasetError):
        return
    assert all(bool(value.isfinite().all()) for value in policy.tensors().values())
    assert policy.config().keys() == json.loads((policies[kind] / "config.json").read_text()).keys()


FACTS: dict[str, Any] = {
    "learner": 3, "updates": "many", "warnings": [{"kind": 1}], "questions": [{"shares": 1}], "validation_ndcg@10": "high",
    "peak_mib": [], "diverged": 3,
}  # fmt: skip


def manifest(folder: Path, facts: dict[str, Any], **parameters: Any) -> Manifest:
    store = ArtifactStore(folder)
    recipe = Recipe(kind="policy", schema_version=1, parameters=parameters, inputs={}, code="")
    with store.create(recipe) as draft:
        (draft.path / "config.json").write_text(os.urandom(4).hex())
        draft.facts = facts
    return store.manifest(draft.committed)


@pytest.mark.parametrize("name", FACTS)
def test_facts_of_another_type_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(PolicyError, match=f"expected the facts of a training in its manifest; found {name}"):
        facts_of(manifest(tmp_path, {"learner": "td3", name: FACTS[name]}))


def test_missing_facts_and_parameters_of_another_type_are_refused(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match="learner: Field required"):
        facts_of(manifest(tmp_path / "a", {}))
    with pytest.raises(PolicyError, match="trainer: Input should be a valid dictionary"):
        facts_of(manifest(tmp_path / "b", {"learner": "td3"}, trainer=[1]))
    assert facts_of(manifest(tmp_path / "c", {"learner": "td3", "updates": 3}, seed=1)).updates == 3
