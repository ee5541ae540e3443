"""The automations that come as an example send what they promise when their events occur."""

import json
import threading
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import Empty, Queue

import numpy as np
import pytest
import yaml
from prefect import flow
from prefect.blocks.notifications import CustomWebhookNotificationBlock
from prefect.client.orchestration import get_client
from prefect.events.schemas.automations import AutomationCore
from small_artifacts_support import making
from tests_support import REPOSITORY

from evaluation.protocols.promotion import PromotionParams, compare_per_user
from tasks.drift import DriftParams, show_drift
from tasks.gates import GateError
from tasks.promote import Decision, announce

EXAMPLE = REPOSITORY / "examples" / "automations.yaml"
ZEROS = "00000000-0000-0000-0000-000000000000"


@pytest.fixture
def messages() -> Iterator[tuple[str, "Queue[dict[str, str]]"]]:
    """The URL of a server that receives notifications, and what it has received."""
    received: Queue[dict[str, str]] = Queue()

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/", received
    server.shutdown()
    server.server_close()


@flow(name="retrain")
def failing_retraining(decision: Decision, measures: list[dict[str, object]]) -> None:
    announce(decision, "file:///published")
    with making("drift") as draft:
        (draft.path / "drift.json").write_text("[]")
        draft.facts = {"later_events": 300, "measures": measures}
    show_drift.fn(draft.committed, DriftParams())
    raise GateError("drift: FAILED for this test.")


@pytest.mark.usefixtures("prefect_here")
def test_promotion_drift_and_failure_send_notifications(messages: tuple[str, "Queue[dict[str, str]]"]) -> None:
    url, received = messages
    data = {"subject": "{{subject}}", "body": "{{body}}"}
    block = CustomWebhookNotificationBlock(name="tests", url=url, json_data=data)
    block_id = str(block.save("marquee-tests", overwrite=True))
    automations = yaml.safe_load(EXAMPLE.read_text().replace(ZEROS, block_id))["automations"]
    comparison = compare_per_user(np.full(50, 0.3), np.full(50, 0.2), PromotionParams())
    decision = Decision(
        promoted=True, why=comparison.sentence(), rule="if-better", challenger="c" * 32, learner="ranking",
        champion="c" * 32, previous="b" * 32, comparison=comparison,
    )  # fmt: skip
    measure = {"measure": "ratings", "psi": 0.5, "by_chance": 0.01, "note": "", "later_events": 300}
    expected = {
        "A new policy is champion": f"ranking ({'c' * 32}) is now policy@champion. {comparison.sentence()}",
        "Later ratings have drifted": "ratings: PSI 0.5 (limits 0.1, 0.25)",
        "A retraining failed": "drift: FAILED for this test.",
    }
    with get_client(sync_client=True) as client:
        made = [client.create_automation(AutomationCore.model_validate(one)) for one in automations]
        try:
            with pytest.raises(GateError):
                failing_retraining(decision, [measure])
            missing, seen = dict(expected), []
            with suppress(Empty):
                while missing:  # other tests' runs send notifications too
                    seen.append(received.get(timeout=120))
                    if missing.get(seen[-1]["subject"], "\0") in seen[-1]["body"]:
                        del missing[seen[-1]["subject"]]
            assert not missing, seen
        finally:
            for one in made:
                client.delete_automation(one)
