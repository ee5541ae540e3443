"""What a Prefect server knows about the runs of a command."""

import json
import re
import time
import urllib.request
from typing import Any


def post(env: dict[str, str], path: str, body: dict[str, Any]) -> Any:
    request = urllib.request.Request(  # noqa: S310
        f"{env['PREFECT_API_URL']}/{path}", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request) as answer:  # noqa: S310
        return json.load(answer)


def flow_runs_of(env: dict[str, str], output: str) -> dict[str, dict[str, list[str]]]:
    """A filter of the flow run that a command's output links to, and of its subflows."""
    (parent,) = re.findall(r"in the Prefect UI: \S+/runs/flow-run/([0-9a-f-]+)", output)
    children = post(env, "flow_runs/filter", {"flow_runs": {"parent_flow_run_id": {"any_": [parent]}}})
    return {"id": {"any_": [parent, *(child["id"] for child in children)]}}


def events_of(env: dict[str, str], output: str, *names: str) -> list[dict[str, Any]]:
    """The events of these names that a command's flow runs emitted; a Prefect server stores them a little later."""
    runs = set(flow_runs_of(env, output)["id"]["any_"])
    for _ in range(100):
        found = post(env, "events/filter", {"filter": {"event": {"name": names}}, "limit": 50})["events"]
        own = [one for one in found if runs & {part["prefect.resource.id"].split(".")[-1] for part in one["related"]}]
        if own:
            return own
        time.sleep(0.2)
    return []
