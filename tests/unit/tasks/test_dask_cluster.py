import operator
import re
import threading

import pytest
import torch
from pydantic import ValidationError

from tasks.dask_cluster import ClusterParams, OtherWorkerError, checked, identity_of, in_this_process, log_where
from tasks.encode_texts import partition_name


def test_the_address_of_a_scheduler_needs_an_exchange() -> None:
    for given in ({}, {"scheduler": "local"}, {"scheduler": "tcp://host:8786", "exchange": "s3://bucket/prefix/"}):
        ClusterParams.model_validate(given)
    with pytest.raises(ValidationError, match="expected an exchange with the address"):
        ClusterParams(scheduler="tcp://host:8786")


def test_functions_get_the_results_of_earlier_ones_and_threads_are_given_back() -> None:
    before = torch.get_num_threads()
    with in_this_process(2) as submit:
        sums = [submit(operator.add, 0, 1)]
        for _ in range(50):
            sums.append(submit(operator.add, sums[-1], 1))
        assert sums[-1].result() == 51
        assert submit(torch.get_num_threads).result() == 1
        with pytest.raises(ZeroDivisionError):
            submit(operator.truediv, 1, 0).result()
    assert torch.get_num_threads() == before


def test_after_an_error_what_has_not_begun_does_not_run() -> None:
    began, go_on, seen = threading.Event(), threading.Event(), []

    def wait() -> None:
        began.set()
        go_on.wait()

    with pytest.raises(ValueError, match="stop"), in_this_process(1) as submit:
        submit(wait)
        submit(seen.append, 1)
        began.wait()
        threading.Timer(0.05, go_on.set).start()
        raise ValueError("stop")
    assert not seen


@pytest.mark.parametrize("name", ["scikit-learn", "code", "python"])
def test_other_packages_or_other_code_are_named(name: str) -> None:
    expected = identity_of(partition_name)
    with pytest.raises(OtherWorkerError, match=f"found {name} .* \\(expected 0.1\\)"):
        checked(expected | {name: "0.1"}, partition_name, [], None)


@pytest.mark.parametrize(
    ("scheduler", "items", "level", "text"),
    [
        (None, 1_000, "INFO", "1,000 items, at most 15 MiB .* in this process, because cluster.scheduler is empty"),
        (None, 10**12, "WARNING", "MiB of memory are free: .* Set it"),
        ("local", 10**12, "INFO", "on Dask, because cluster.scheduler is local"),
    ],
)
def test_the_log_says_where_and_why(
    scheduler: str | None, items: int, level: str, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO", "marquee.cluster"):
        log_where(ClusterParams(scheduler=scheduler), items)
    (record,) = caplog.records
    assert record.levelname == level
    assert re.search(text, record.message)
