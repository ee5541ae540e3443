"""docs/results.md says what the stored reports say, and refuses reports that do not belong together."""

import importlib.util
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from evaluation.report.sections.methods.comparisons import Comparison
from evaluation.report.sections.methods.numbers import MethodResult, published
from evaluation.report.sections.methods.published import MULT_VAE
from models.term_weights import TunedWeights

DOCS = Path(__file__).parents[3] / "docs"
spec = importlib.util.spec_from_file_location("write_results", DOCS / "write_results.py")
assert spec is not None
assert spec.loader is not None
write_results = importlib.util.module_from_spec(spec)
spec.loader.exec_module(write_results)

QUALITY = {"ranking": 0.2, "td3": 0.002, "markov": 0.1}
NAMES = ("ndcg", "ndcg@10_liked", "recall", "mrr", "hit", "coverage", "novelty", "ild")


def result(name: str, split: str, protocol: str, value: float, half: float) -> MethodResult:
    metrics = {name if "@" in name else f"{name}@{k}": value for name in NAMES for k in (10, 20, 50, 100)}
    return MethodResult(
        name=name, split=split, protocol=protocol, kind="baseline" if name == "markov" else "policy",  # type: ignore[arg-type]
        metrics=metrics, intervals=dict.fromkeys(metrics, (value - half, value + half)), users=10, cases=20,
    )  # fmt: skip


TUNED = TunedWeights(
    question="liked", shares={"actor": 0.25, "taste": 0.0, "recent_popularity": 0.75}, critic=0.05, cold=1.5,
    metric="ndcg@100", value=0.3, cold_shown=0.01, cold_sought=0.02, cases=9, users=3,
)  # fmt: skip


def report(seed: int, dataset: str = "d", extra: float = 0.0, without: str = "") -> Any:
    results = [
        result(name, split, protocol, value + extra, 0.01 * (seed + 1))
        for split, protocol in (("test", "next-item"), ("test", "fold-in"), ("test", "mult-vae"), ("time", "next-item"))
        for name, value in QUALITY.items()
        if name != without
    ]
    compared = Comparison(
        challenger="ranking", other="markov", split="test", protocol="next-item", metric="ndcg@10",
        difference=0.1, low=0.05, high=0.15, p=0.001, p_adjusted=0.002,
    )  # fmt: skip
    models = [SimpleNamespace(name=name, kind="policy", seed=seed, questions=[TUNED]) for name in ("ranking", "td3")]
    models.append(SimpleNamespace(name="champion", kind="champion", seed=99, questions=[]))
    cold = [
        SimpleNamespace(
            name=name, cold_rank=rank, cold_recall={"recall@100": 0.25}, shown={"cold": 0.125},
            intervals={"cold_rank": (rank - 0.1, rank + 0.1), "cold_recall recall@100": (0.0, 0.5), "shown cold": (0.0, 0.25)},
        )
        for name, rank in (("markov", 0.9), ("ranking", 0.2))
    ]  # fmt: skip
    view = SimpleNamespace(
        split="test", protocol="next-item", cold_users=3, cold_sought=4, cases=20, methods=cold,
    )  # fmt: skip
    parts = SimpleNamespace(watched=0.75, rating=3.5, boring=0.25)
    rows = [
        SimpleNamespace(
            name=name,
            kind="policy",
            value=value,
            low=1.0,
            high=9.0,
            gain=value - 5,
            gain_low=-4.0,
            gain_high=4.0,
            parts=parts,
            ndcg=0.1,
        )
        for name, value in (("td3", 6.5), ("ranking", 4.0))
    ]
    fit = SimpleNamespace(
        events=1234, users=10, errors=[SimpleNamespace(name="this model", rmse=0.875)],
        sessions=SimpleNamespace(logged_mean=20.5, simulated_mean=19.5),
        boredom=SimpleNamespace(share=0.25, assumed=-1.5, difference=-0.02, low=-0.05, high=0.01),
    )  # fmt: skip
    return SimpleNamespace(
        environment=SimpleNamespace(methods=rows, users=50, horizon=30, fit=fit, critic_candidates=200),
        popularity=SimpleNamespace(views=[view]),
        methods=SimpleNamespace(results=[*results, *published(MULT_VAE, "mult-vae")], comparisons=[compared]),
        cards=SimpleNamespace(dataset=SimpleNamespace(digest=dataset), models=models),
    )


def test_means_intervals_and_deviations_are_over_seeds(tmp_path: Path) -> None:
    results = write_results.Results([report(0), report(1, extra=0.02)], tmp_path)
    table = results.table("test", "next-item", ["ndcg@10", "recall@10"])
    rows = [line.split(" | ") for line in table.splitlines()[2:]]
    # half widths of .01 and .02; a sample's deviation of two values .02 apart is .02 / √2
    assert rows[0] == ["| ranking", "policy", ".2100 ± .0150", ".0141", ".2100 |"]
    assert [row[0] for row in rows] == ["| ranking", "| markov", "| td3"]


@pytest.mark.parametrize(
    ("reports", "says"),
    [
        ([report(0), report(1, dataset="e")], "reports of one dataset"),
        ([report(0), report(0)], "one report per training seed"),
    ],
)
def test_reports_that_do_not_belong_together_are_refused(reports: list[Any], says: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=says):
        write_results.Results(reports, tmp_path)


def test_a_method_that_is_not_in_every_report_is_refused(tmp_path: Path) -> None:
    results = write_results.Results([report(0), report(1, without="td3")], tmp_path)
    with pytest.raises(ValueError, match=r"td3, test, next-item: expected in every report; found in 1"):
        results.value("td3", "ndcg@10")


@pytest.mark.parametrize(("ratio", "says"), [("2.50×", "is met."), ("1.29×", "not met")])
def test_the_page_says_what_the_benchmarks_printed(ratio: str, says: str, tmp_path: Path) -> None:
    text = (DOCS / "results.md.j2").read_text()
    for name in re.findall(r'r\.measured\("(\w+)"\)', text):
        (tmp_path / f"{name}.txt").write_text(f"$ python benchmarks/{name}.py\nprinted by {name}\n")
    (tmp_path / "td3.txt").write_text(
        "float32, policy delay 2   52.6   19.00   18.6-19.7   2.59×  37.65   1.29×\n"
        f"bfloat16, policy delay 2   52.6   19.00   18.6-19.7   {ratio}  37.65   1.29×\n"
    )
    (tmp_path / "texts.txt").write_text("2 cores; precision auto means bfloat16 here\n")
    (tmp_path / "off_policy_jester.txt").write_text(
        "  logged by history, propensities estimated: 0.07\n  logged by taste, propensities estimated: 2.61\n"
    )
    page = write_results.render(write_results.Results([report(4), report(3)], tmp_path))
    assert "for seed in 3 4; do" in page
    assert "as 3 test users' next choices (4 of 20 cases, seed 3)" in page
    spread = ".2500 (.0000 to .5000)"
    cold = (
        f"| ranking | .1250 (.0000 to .2500) | {spread} | .2000 (.1000 to .3000) |\n"
        f"| markov | .1250 (.0000 to .2500) | {spread} | .9000 (.8000 to 1.000) |"
    )
    assert cold in page
    assert "| td3 | policy | 6.5 (1.0 to 9.0) | +1.5 (-4.0 to +4.0) | 75% | 3.50 | 25% | .1000 |" in page
    assert "rated them -0.02 (-0.05 to +0.01) against the prediction" in page
    assert "+0.1000 (seed 3; 95 % interval" in page
    assert says in page
    assert "`precision: auto` is bfloat16 on this processor" in page
    assert "printed by ingest" in page
    assert "is off by at most 0.07 in the mean" in page
    assert "`ranking` reaches 2.00 times the NDCG@10 of the best baseline, `markov`" in page
    assert "  - `liked`: actor 25 %, recent popularity 75 %; critics' weight 0.05, offset of cold items +1.5.\n" in page
    (tmp_path / "ingest.txt").unlink()
    with pytest.raises(SystemExit, match=r"Run `python benchmarks/run.py ingest`"):
        write_results.render(write_results.Results([report(0), report(1)], tmp_path))
