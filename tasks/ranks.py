"""Start the ranks that train one learner together, with torchrun's launcher; see `models.ranks`."""

import os
import time
import uuid
from datetime import timedelta
from multiprocessing.connection import Connection

import torch
from torch import distributed
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from storage.errors import MarqueeError
from tasks.train import DeviceMissingError, checkpoints_of
from tasks.work_process import Job, end_with, fill_here, portable, sender_to

PATIENCE = timedelta(days=7)  # ranks wait while the first one validates; the launcher sees one that has ended
BLAME_SECONDS = 5  # a rank that lost the connection to another ends later than that one, which the launcher then names


class RankEndedError(MarqueeError):
    """One of the processes that train together has ended before the training was done."""


def need_devices(ranks: int, device: str) -> None:
    """Refuse more ranks than there are GPUs to train on.

    Raises:
        DeviceMissingError: there are fewer.
    """
    if device == "cuda" and ranks > (found := torch.cuda.device_count()):
        raise DeviceMissingError(
            f"train.ranks: expected at most one for each GPU; found {ranks} ranks and {found} GPUs. Lower train.ranks."
        )


def launch(ranks: int, owner: Connection, job: Job) -> None:
    """In a process of its own: fill a draft on several ranks; if one of them ends before, all do, and the owner gets an error."""
    end_with(owner)
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=ranks,
        run_id=uuid.uuid4().hex,
        rdzv_backend="c10d",
        rdzv_endpoint="127.0.0.1:0",
        local_addr="127.0.0.1",
        max_restarts=0,
        signals_to_handle="SIGTERM",
    )
    try:
        elastic_launch(config, fill_as_rank)(owner, job)
    except ChildFailedError as error:
        rank, failure = next(iter(error.failures.items()))
        newest = checkpoints_of(job.draft.digest).newest()
        kept = (
            f"Its last checkpoint is {newest}; run again to continue from it."
            if newest
            else "It has no checkpoint yet."
        )
        sender_to(owner)(
            "failed",
            RankEndedError(
                f"rank {rank} of {ranks}: expected it to train to the end; it has ended with code {failure.exitcode}. -9 often "
                f"means that memory ran out: lower train.ranks. {kept}"
            ),
        )


def silent(*message: object) -> None:
    """Send nothing: the first rank reports for all."""


def fill_as_rank(owner: Connection, job: Job) -> None:
    """In the process of a rank: fill a draft together with the other ranks; the first one reports to the owner."""
    end_with(owner)
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    distributed.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo", timeout=PATIENCE)
    first = distributed.get_rank() == 0
    send = sender_to(owner) if first else silent
    try:
        send("done", fill_here(send, job))
    except Exception as error:
        if first and isinstance(error, MarqueeError | ValueError):
            send("failed", portable(error))
            return
        time.sleep(BLAME_SECONDS)
        raise
