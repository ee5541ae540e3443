"""Parts of the page that need no report."""

import pandas as pd

from evaluation.report.figures import BASELINE_COLOUR, bars
from evaluation.report.formats import without_nan


def test_no_nan_in_json() -> None:
    assert without_nan({"a": [float("nan"), 1.23456789], "b": float("inf")}) == {"a": [None, 1.23457], "b": None}


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
