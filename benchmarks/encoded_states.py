"""Claim: training on encoded states takes many times as many updates per second as training the encoder, and ranks as well.

    python benchmarks/encoded_states.py TRANSITIONS.h5 [gru or attention, default gru] [updates, default 1000] [learner, default td3_bc]

Three trainings with the same updates, transitions per update and seed: on frames, with a state encoder, and on the states that
the encoder of the second has made. NDCG@10 is that of the best validation. Updates are measured apart from validation, in
rounds that take turns, batches included; per second of CPU time of all threads, which varies less on a busy machine.
"""

import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from shutil import copyfile

import torch
from ablation import Evaluator
from safetensors.torch import save_file
from shaped import conditions

from models.histories import Histories
from models.learners.registry import LEARNERS
from models.policy import Policy
from models.sampling import UniformSampler
from models.trainer import Trainer
from models.trainer_config import TrainerConfig
from models.windows import HistoryEncoder, latest
from storage.dataset.encoded import write_encoded
from storage.dataset.reader import TransitionDataset
from tasks.learning import Learning, make_learning, observing

BATCH, ROUNDS, UPDATES = 256, 5, 20


def trained(learning: Learning, evaluator: Evaluator, steps: int) -> float:
    """Train; the learner then has the best weights. Returns NDCG@10 on the validation users."""
    config = TrainerConfig(steps=steps, validate_every=max(1, steps // 8), checkpoint_every=steps)
    sampler = UniformSampler(evaluator.data.starts("train"), learning.batch_size, 0)
    run = Trainer(
        learning.learner, sampler, learning.gather_in_turn, lambda: evaluator.metrics(learning.policy), config
    )
    run.run(lambda *_: None, lambda *_: None)
    learning.learner.acting.load_state_dict(run.best_policy)
    return run.best("ndcg@10")


def encoded(learning: Learning, data: TransitionDataset, folder: Path) -> float:
    """Write the states of the policy's encoder and the policy, as encode-states does; returns the seconds of CPU time."""
    policy = learning.policy
    assert isinstance(policy, Policy)  # noqa: S101
    encoder = policy.actor.state_encoder
    assert isinstance(encoder, HistoryEncoder)  # noqa: S101
    length, began = encoder.config.length, time.process_time()

    @torch.no_grad()
    def encode(items: torch.Tensor, rewards: torch.Tensor) -> torch.Tensor:
        states: torch.Tensor = encoder(latest(Histories(items, rewards), length, data.embedding))
        return states

    write_encoded(folder / "transitions.h5", data, encode, encoder.config.width, length, ("train", "validation"), {})
    spent = time.process_time() - began
    save_file(policy.tensors(), folder / "policy.safetensors")
    (folder / "config.json").write_text(json.dumps(policy.config()))
    copyfile(data.path.with_name("items.parquet"), folder / "items.parquet")
    return spent


def updates_per_second(made: dict[str, Learning], data: TransitionDataset) -> dict[str, float]:
    """The median rate of each learning."""
    samplers = {name: UniformSampler(data.starts("train"), one.batch_size, 0) for name, one in made.items()}
    taken: dict[str, list[float]] = {name: [] for name in made}
    for turn in range(ROUNDS + 1):
        for name, one in made.items():
            began = time.process_time()
            for _ in range(UPDATES):
                one.learner.update(one.gather_in_turn(samplers[name].next()))
            if turn:  # the first round warms up
                taken[name].append(UPDATES / (time.process_time() - began))
    return {name: statistics.median(rates) for name, rates in taken.items()}


def main() -> None:
    """Measure and print."""
    if len(sys.argv) < 2:
        print(__doc__)
        return
    given = [*sys.argv[1:], *("gru", "1000", "td3_bc")[len(sys.argv) - 2 :]]
    path, kind, steps, name = given[:4]
    data = TransitionDataset.open(Path(path))
    evaluator = Evaluator(data, 0)
    frames = LEARNERS[name].config.model_validate({})
    encoding = LEARNERS[name].config.model_validate({"state": {"kind": kind}})
    made = {
        "frame": make_learning(frames, data, BATCH, "cosine", "cpu", 0),
        kind: make_learning(encoding, data, BATCH, "cosine", "cpu", 0),
    }
    scores = {what: trained(one, evaluator, int(steps)) for what, one in made.items()}
    with tempfile.TemporaryDirectory() as folder:
        states = Path(folder)
        spent = encoded(made[kind], data, states)
        made["encoded"] = make_learning(observing(frames, states), data, BATCH, "cosine", "cpu", 0, states)
    scores["encoded"] = trained(made["encoded"], evaluator, int(steps))
    rates = updates_per_second(made, data)
    print(f"{name}, {steps} updates of {BATCH} transitions, {torch.get_num_threads()} threads, {conditions()}")
    print(f"states of {kind} encoded in {spent:.1f} s of CPU time")
    print(f"{'observation':12} {'updates/s':>9} {'of ' + kind:>10} {'NDCG@10':>8}")
    for what, rate in rates.items():
        print(f"{what:12} {rate:9.1f} {rate / rates[kind]:9.1f}× {scores[what]:8.4f}")


if __name__ == "__main__":
    main()
