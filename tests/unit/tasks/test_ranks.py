import pytest
import torch

from tasks.ranks import need_devices
from tasks.train import DeviceMissingError


def test_more_ranks_than_gpus_are_refused() -> None:
    found = torch.cuda.device_count()
    need_devices(64, "cpu")
    need_devices(found, "cuda")
    with pytest.raises(DeviceMissingError, match=f"found {found + 1} ranks and {found} GPUs. Lower train.ranks"):
        need_devices(found + 1, "cuda")
