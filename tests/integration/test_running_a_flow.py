"""A flow that is run from the command line, against a real Prefect server."""

from typing import Any

import prefect.flow_engine
import pytest
from prefect import flow
from prefect.client.schemas.objects import State

from flows.cli.running import run


@flow
def seven() -> int:
    return 7


def test_the_result_is_kept_though_the_servers_answer_is_lost(
    prefect_here: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    propose = prefect.flow_engine.propose_state_sync

    def asked_again(*args: Any, **kwargs: Any) -> State[Any]:
        """The server's state: what it answers when the same state is proposed a second time."""
        return propose(*args, **kwargs).model_copy(update={"data": None})

    monkeypatch.setattr(prefect.flow_engine, "propose_state_sync", asked_again)
    assert run(seven) == 7
