"""From the command line: a policy with a state encoder, the states that it makes, and a policy that learns from them."""

import json
from pathlib import Path

import torch
from tests_support import Marquee, SmallRun, changes, values_of

from models.histories import Histories
from serving.stored_policies import load_on
from storage.dataset.reader import TransitionDataset


def test_learners_train_on_the_states_of_a_policy(marquee: Marquee, small_run: SmallRun, small_home: Path) -> None:
    recurrent = "{hidden_dim: 16, state: {kind: gru, width: 8}}"
    made = values_of(marquee("train-policy", *changes(train__learners="[td3_bc]", train__td3_bc=recurrent)).stdout)
    policy = Path(made["POLICY_TD3_BC"])
    states = values_of(marquee("encode-states", "--policy", policy.name).stdout)["STATES"]
    done = marquee("train-policy", "--states", Path(states).name, *changes(train__learners="[ddpg]")).stdout
    learnt = Path(values_of(done)["POLICY_DDPG"])
    manifest = json.loads((learnt / "manifest.json").read_text())
    assert set(manifest["recipe"]["inputs"]) == {"dataset", "states"}
    assert manifest["recipe"]["parameters"]["config"]["state"]["kind"] == "gru"
    assert json.loads((learnt / "config.json").read_text())["state"]["width"] == 8
    data = TransitionDataset.open(Path(small_run.values["DATASET"]))
    scores = load_on(learnt, data).scores(Histories(*data.histories(data.starts("test")[:5])))
    assert scores.shape == (5, data.items)
    assert bool(torch.isfinite(scores).all())
