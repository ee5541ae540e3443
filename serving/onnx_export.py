"""A policy as an ONNX file, which runs without Python: in a browser, on a phone, in another language."""

import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from importlib.util import find_spec
from io import StringIO
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from models.errors import PolicyError
from models.histories import Histories, Scorer
from models.policy import Policy
from models.policy_formats import shortest_history
from models.ranking_policy import RankingPolicy
from serving.recommend import Recommender
from storage.errors import MarqueeError
from storage.files import replacing, write_bytes_atomically

FORMAT = "marquee-onnx/1"
OPSET = 18
PACKAGES = ("onnx", "onnxscript")


class OnnxError(MarqueeError):
    """A policy cannot be written as ONNX."""


class OnnxForm(nn.Module):
    """The inputs and outputs of the file: items (B, L) int64 and rewards (B, L) → actions (B, D) and scores (B, I)."""

    def __init__(self, policy: Policy | RankingPolicy) -> None:
        super().__init__()
        self.policy = policy
        self.parts = policy.parts() if isinstance(policy, Policy) else None  # so that their weights are in the file
        self.requires_grad_(False).eval().float()  # a stored policy has kernels of float16

    def forward(self, items: Tensor, rewards: Tensor) -> tuple[Tensor, Tensor]:
        """The policy's answer to each history."""
        histories = Histories(items, rewards)
        return self.policy.act(histories), self.policy.scores(histories)


def input_length(policy: Scorer) -> int:
    """L, the number of latest events that the file's inputs hold.

    Raises:
        PolicyError: the policy has no ONNX form.
    """
    if isinstance(policy, RankingPolicy):
        return policy.params.length
    if isinstance(policy, Policy):
        return policy.frame if policy.state is None else policy.state.length
    raise PolicyError(
        f"export-onnx: expected a policy of a learner from transitions, or one like `ranking`; found {type(policy).__name__}. Export "
        "another policy."
    )


def export_onnx(recommender: Recommender, folder: Path) -> dict[str, Any]:
    """Write a policy as policy.onnx, and as items.json what its inputs and outputs mean; returns facts about them.

    The file holds the actor, the items, and what ranks them: nearness, learnt and fitted terms, re-ranking by critics.
    Scores of items in the history are not lowered: the reader leaves them out.

    Raises:
        OnnxError: the packages for ONNX are not installed.
        PolicyError: the policy has no ONNX form.
    """
    policy, catalogue = recommender.policy, recommender.catalogue
    length = input_length(policy)
    assert isinstance(policy, Policy | RankingPolicy)  # noqa: S101
    if any(find_spec(package) is None for package in PACKAGES):
        raise OnnxError(
            f"export-onnx: expected the packages {', '.join(PACKAGES)}; found not all. Install marquee[onnx]."
        )
    items = torch.arange(2 * length).view(2, length) % len(catalogue)
    batch = {0: torch.export.Dim.DYNAMIC}
    folder.mkdir(parents=True, exist_ok=True)
    with replacing(folder / "policy.onnx") as path, plain_and_quiet():
        torch.onnx.export(
            OnnxForm(policy), (items, torch.ones(2, length)), path, dynamo=True, opset_version=OPSET, external_data=False,
            input_names=["items", "rewards"], output_names=["action", "scores"],
            dynamic_shapes={"items": batch, "rewards": batch}, verbose=False,
        )  # fmt: skip
    facts = {
        "format": FORMAT,
        "policy": recommender.digest,
        "length": length,
        "shorter_histories": "-1 in front" if shortest_history(policy) == 1 else "the oldest event again in front",
    }
    about = (
        facts | recommender.ratings.model_dump(mode="json", exclude={"format"}) | {"movie_ids": catalogue.ids.tolist()}
    )
    write_bytes_atomically(folder / "items.json", json.dumps(about).encode())
    return facts


@contextmanager
def plain_and_quiet() -> Iterator[None]:
    """Without torch's fused attention, which ONNX does not know, and without its progress and warnings in the log."""
    fused, root = torch.backends.mha.get_fastpath_enabled(), logging.getLogger("torch.onnx")
    level = root.level
    torch.backends.mha.set_fastpath_enabled(False)
    root.setLevel(logging.ERROR)
    try:
        with redirect_stdout(StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fused)
        root.setLevel(level)
