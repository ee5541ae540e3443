import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from evaluation.distribution import kl_divergence, mean_distances, wasserstein
from evaluation.figures import BASELINE_COLOUR, bars
from evaluation.page import without_nan
from evaluation.report import Example, Method, RankingResult, ReportInput, headline, methods_table, write_report

RNG = np.random.default_rng(0)

QUANTILES = ("q05", "q25", "q50", "q75", "q95")
METRICS = (
    "critic_loss", "actor_loss", "ndcg@10", "recall@10", "actor_gradient_norm", "targets_clipped", "kl_to_logged",
    *(f"{name}_{level}" for name in ("value_policy", "action_cosine_among") for level in QUANTILES),
)  # fmt: skip
WARNING = {"kind": "values-explode", "step": 200, "message": "the policy's value is <beyond> bounds."}


def result(ndcg: float) -> RankingResult:
    return RankingResult(
        {"ndcg@10": ndcg, "recall@10": ndcg, "coverage@10": 0.1}, {"ndcg@10": (ndcg - 0.01, ndcg + 0.01)}, 5, 9
    )


def report_input(**changes: object) -> ReportInput:
    steps = [100, 200]
    rows = [
        (learner, step, split, metric, float(step) / 100)
        for learner in ("td3", "ddpg")
        for step in steps
        for split in ("train", "validation")
        for metric in METRICS
    ]
    sets = {name: RNG.normal(size=(30, 4)).astype(np.float32) for name in ("real", "train", "test")}
    errors = {name: RNG.random(50) for name in ("real", "train", "test", "noise")}
    values = {
        "title": "T",
        "generated": False,
        "k": 10,
        "dataset": {"users": 5, "items": 7, "events": 1234, "transitions": 99},
        "licences": ["cite them"],
        "curves": pd.DataFrame(rows, columns=["learner", "step", "split", "metric", "value"]),
        "learners": {"td3": {"discount": 0.99}, "ddpg": {"discount": 0.9}},
        "methods": [Method("td3", "test", result(0.2), False), Method("popularity", "test", result(0.1), True)],
        "tuning": [
            {"name": "ease", "config": {"last": None}, "validation": {"ndcg@10": 0.07}, "tried": 8, "worst": 0.0123}
        ],
        "actions": {"td3": sets, "ddpg": sets},
        "errors": {"td3": errors, "ddpg": errors},
        "examples": [Example("7", [("A </script><b>", 4.0)], "B", 5.0, {"td3": ["B", "C"]})],
    } | changes
    return ReportInput(**values)  # type: ignore[arg-type]


def test_page_stands_alone_and_escapes(tmp_path: Path) -> None:
    numbers = write_report(tmp_path, report_input())
    page = (tmp_path / "report.html").read_text()
    own = re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)
    assert not re.search(r"(?:src|href)=", own)
    assert "<script src" not in page
    assert "A &lt;/script&gt;&lt;b&gt;" in page
    assert "0.2000" in page
    assert "last all" in own
    assert "0.0123" in own
    assert numbers["baselines"][0]["validation"] == {"ndcg@10": 0.07}
    assert "generated" not in page.split("How it was made")[0].split("<body>")[1].split("<script")[0]
    assert json.loads((tmp_path / "report.json").read_text()) == json.loads(json.dumps(numbers))
    assert len(page) < 5_000_000


def test_warnings_come_first_among_the_diagnostics(tmp_path: Path) -> None:
    numbers = write_report(tmp_path, report_input(warnings={"td3": [WARNING], "ddpg": []}))
    section = (tmp_path / "report.html").read_text().split("<h2>Training diagnostics</h2>")[1].split("<h2>")[0]
    said = section.index("<b>td3, update 200: values-explode.</b> The policy&#39;s value is &lt;beyond&gt; bounds.")
    places = [section.index(f'id="chart-{name}"') for name in ("values", "gradients", "shares", "distances", "spread")]
    assert said < min(places)
    assert "No early warning" not in section
    assert numbers["warnings"] == {"td3": [WARNING], "ddpg": []}


def test_without_warnings_that_is_said_and_missing_metrics_have_no_chart(tmp_path: Path) -> None:
    curves = report_input().curves
    no_critic = curves[~curves["metric"].str.contains("value|clipped")]
    write_report(tmp_path, report_input(warnings={"td3": [], "ddpg": []}, curves=no_critic))
    page = (tmp_path / "report.html").read_text()
    assert "No early warning" in page
    assert 'id="chart-distances"' in page
    assert 'id="chart-values"' not in page
    assert 'id="chart-shares"' not in page


def test_generated_data_is_said_plainly(tmp_path: Path) -> None:
    write_report(tmp_path, report_input(generated=True))
    assert "This data is generated." in (tmp_path / "report.html").read_text()
    assert json.loads((tmp_path / "report.json").read_text())["generated"] is True


def test_equal_input_gives_equal_bytes(tmp_path: Path) -> None:
    data = report_input()
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        write_report(tmp_path / name, data)
    for file in ("report.html", "report.json"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


@pytest.mark.parametrize(
    ("policy", "popularity", "expected"),
    [
        (0.2, 0.1, "td3 ranks best.*do not overlap"),
        (0.105, 0.1, "td3 ranks best.*but the intervals overlap"),
        (0.1, 0.2, "beats not even popularity"),
    ],
)
def test_headline_is_honest(tmp_path: Path, policy: float, popularity: float, expected: str) -> None:
    methods = [Method("td3", "test", result(policy), False), Method("popularity", "test", result(popularity), True)]
    numbers = write_report(tmp_path, report_input(methods=methods))
    assert re.search(expected, headline(numbers["methods"], 10))
    assert methods_table(numbers)[0]["ndcg@10"] == f"{policy:.4f}"


def test_no_nan_in_json() -> None:
    assert without_nan({"a": [float("nan"), 1.23456789], "b": float("inf")}) == {"a": [None, 1.23457], "b": None}


def test_distances() -> None:
    x = np.eye(3, dtype=np.float32)
    means = mean_distances("cosine", {"a": x, "b": x})
    assert np.isclose(means["a-a"], 1)
    assert np.isclose(means["a-b"], 2 / 3)
    a, b = RNG.normal(size=1000), RNG.normal(size=1000) + 2
    assert abs(wasserstein(a, b) - 2) < 0.2
    assert kl_divergence(a, a) == 0 < kl_divergence(a, b)


def test_bars_of_many_methods_keep_policies_apart_from_baselines() -> None:
    names = [f"policy {place}" for place in range(3)] + [f"baseline {place}" for place in range(12)]
    rows = [
        {"method": name, "baseline": name[0] == "b", "metric": "ndcg@10", "value": 0.1, "low": 0.0, "high": 0.2}
        for name in names
    ]
    spec = bars(pd.DataFrame(rows), ["ndcg@10"])["spec"]
    scale = spec["layer"][0]["encoding"]["color"]["scale"]
    colours = dict(zip(scale["domain"], scale["range"], strict=True))
    assert list(colours) == names
    assert len(set(colours.values())) == 4
    assert {colours[name] for name in names[3:]} == {BASELINE_COLOUR}
    assert spec["height"] >= 15 * 20
