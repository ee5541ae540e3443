"""Write docs/results.md from the template docs/results.md.j2, stored reports and the output of benchmarks.

    python docs/write_results.py REPORT.json [REPORT.json …] [--ml-1m REPORT.json …] [--measured FOLDER]

The reports are of one dataset and its learners, one per training seed; those of --ml-1m are of MovieLens 1M. FOLDER
(default .marquee/benchmarks) holds what `make bench` keeps: one file per benchmark, its command line first.
"""

import argparse
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from evaluation.protocols.metrics import label
from evaluation.report.report import Report, read_report
from evaluation.report.sections.methods.comparisons import Comparison
from evaluation.report.sections.methods.numbers import MethodResult
from evaluation.report.sections.popularity.numbers import PopularitySection, PopularityView
from models.term_weights import TunedWeights

HERE = Path(__file__).parent


class Results:
    """The functions of the template; `split` and `protocol` name one table of a report.

    Raises:
        ValueError: the reports are of several datasets, or two of them of the same seed.
    """

    def __init__(self, reports: Sequence[Report], measured: Path) -> None:
        if len(datasets := {report.cards.dataset.digest for report in reports}) > 1:
            raise ValueError(
                f"expected reports of one dataset; found {', '.join(sorted(datasets))}. Name those of one."
            )
        seeds = {
            seed: report
            for report in reports
            for seed in {one.seed or 0 for one in report.cards.models if one.kind == "policy"}
        }
        if len(seeds) != len(reports) or len(set(map(id, seeds.values()))) != len(reports):
            raise ValueError(f"expected one report per training seed; found {len(reports)} of seeds {sorted(seeds)}.")
        self.seeds = sorted(seeds)
        self.reports, self.measured_in = [seeds[seed] for seed in self.seeds], measured
        self.first = self.reports[0]

    def of(self, name: str, split: str, protocol: str) -> list[MethodResult]:
        """The results of one method in all reports."""
        found = [
            one
            for report in self.reports
            for one in report.methods.results
            if (one.name, one.split, one.protocol) == (name, split, protocol)
        ]
        if len(found) != len(self.reports):
            raise ValueError(f"{name}, {split}, {protocol}: expected in every report; found in {len(found)}.")
        return found

    def names(self, split: str, protocol: str, *kinds: str) -> list[str]:
        """The methods of some kinds, in the reports' order; by default all but published results."""
        wanted = kinds or ("policy", "champion", "baseline")
        found = [one for report in self.reports for one in report.methods.results]
        kept = [one.name for one in found if (one.split, one.protocol) == (split, protocol) and one.kind in wanted]
        return list(dict.fromkeys(kept))

    def value(self, name: str, metric: str, split: str = "test", protocol: str = "next-item") -> float:
        """The mean over seeds."""
        values = [one.metrics.get(metric) for one in self.of(name, split, protocol)]
        return float(np.mean([np.nan if value is None else value for value in values]))

    def best(self, metric: str, *kinds: str, split: str = "test", protocol: str = "next-item") -> str:
        """The method with the highest mean."""
        return max(self.names(split, protocol, *kinds), key=lambda name: self.value(name, metric, split, protocol))

    def ratio(self, name: str, other: str, metric: str, split: str = "test", protocol: str = "next-item") -> str:
        """The ratio of two methods' means."""
        return f"{self.value(name, metric, split, protocol) / self.value(other, metric, split, protocol):.2f}"

    def comparison(self, name: str, other: str, metric: str = "ndcg@10") -> Comparison | None:
        """The first report's paired test of two methods on test users' next items; None if its challenger is another method."""
        tested = [one for one in self.first.methods.comparisons if (one.split, one.protocol) == ("test", "next-item")]
        found = {(one.challenger, one.other, one.metric): one for one in tested}
        return found.get((name, other, metric))

    def table(self, split: str, protocol: str, metrics: Sequence[str], *kinds: str) -> str:
        """Markdown: means over seeds; for the first metric also half its mean 95 % interval and its deviation over seeds."""
        names = sorted(
            self.names(split, protocol, *kinds), key=lambda name: -self.value(name, metrics[0], split, protocol)
        )
        heads = ["method", "kind", label(metrics[0]), "sd over seeds", *map(label, metrics[1:])]
        lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
        for name in names:
            runs = self.of(name, split, protocol)
            seeds = [one.metrics[metrics[0]] or 0.0 for one in runs]
            first = shown(self.value(name, metrics[0], split, protocol))
            if bounds := [one.intervals[metrics[0]] for one in runs if metrics[0] in one.intervals]:
                first += f" ± {shown(float(np.mean([high - low for low, high in bounds])) / 2)}"
            deviation = shown(float(np.std(seeds, ddof=1))) if len(set(seeds)) > 1 else ""
            others = [shown(self.value(name, metric, split, protocol)) for metric in metrics[1:]]
            lines.append(f"| {' | '.join([name, runs[0].kind, first, deviation, *others])} |")
        return "\n".join(lines)

    def cold_view(self, split: str, protocol: str) -> PopularityView:
        """The first report's popularity view, which has the numbers of cold items."""
        section: PopularitySection = self.first.popularity
        return next(one for one in section.views if (one.split, one.protocol) == (split, protocol))

    def cold(self, split: str, protocol: str) -> str:
        """Markdown: cold items by method in the first report, the best first, with 95 % intervals."""
        lines = ["| method | of the first ten | Recall@100 | relative rank, 0 first, 1 last |", "|---" * 4 + "|"]
        for one in sorted(self.cold_view(split, protocol).methods, key=lambda one: one.cold_rank or 0.0):
            cells = [
                f"{shown(value)} ({shown(low)} to {shown(high)})"
                for value, (low, high) in (
                    (one.shown["cold"], one.intervals["shown cold"]),
                    (one.cold_recall.get("recall@100"), one.intervals["cold_recall recall@100"]),
                    (one.cold_rank, one.intervals["cold_rank"]),
                )
            ]
            lines.append(f"| {' | '.join([one.name, *cells])} |")
        return "\n".join(lines)

    def returns(self) -> str:
        """Markdown: returns with simulated users in the first report, the best first."""
        heads = [
            "method",
            "kind",
            "return",
            "to the best baseline",
            "watched",
            "mean rating",
            "of a topic that bores",
            "NDCG@10",
        ]
        lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
        for one in self.first.environment.methods:
            gain = "–" if one.gain is None else f"{one.gain:+.1f} ({one.gain_low:+.1f} to {one.gain_high:+.1f})"
            found = ["–"] * 3
            if one.parts is not None and one.parts.rating is not None:
                found = [f"{one.parts.watched:.0%}", f"{one.parts.rating:.2f}", f"{one.parts.boring:.0%}"]
            cells = [f"{one.value:.1f} ({one.low:.1f} to {one.high:.1f})", gain, *found, shown(one.ndcg)]
            lines.append(f"| {' | '.join([one.name, one.kind, *cells])} |")
        return "\n".join(lines)

    def overlap(self, name: str, other: str, metric: str = "ndcg@10") -> bool:
        """Whether the first report's intervals of two methods overlap, on test users' next items."""
        mine, others = (self.of(one, "test", "next-item")[0].intervals[metric] for one in (name, other))
        return mine[0] <= others[1] and others[0] <= mine[1]

    def questions(self, name: str) -> list[TunedWeights]:
        """The tuned weights of a policy for each question, of the first report."""
        return [one for model in self.first.cards.models if model.name == name for one in model.questions]

    def cases(self, split: str, protocol: str) -> str:
        """The number of users and cases."""
        one = next(one for one in self.first.methods.results if (one.split, one.protocol) == (split, protocol))
        return f"{one.users:,} users, {one.cases:,} cases"

    def measured(self, name: str) -> str:
        """A benchmark's command and output, as a code block."""
        lines = self.output(name).splitlines()
        return "\n".join(("```text", *lines, "```"))

    def output(self, name: str) -> str:
        """A benchmark's command and output."""
        path = self.measured_in / f"{name}.txt"
        if not path.exists():
            raise SystemExit(
                f"{path}: expected the output of a benchmark; found none. Run `python benchmarks/run.py {name}`; --help says what it needs."
            )
        return path.read_text().strip()

    def found(self, name: str, pattern: str) -> str:
        """The first group of a pattern in a benchmark's output."""
        match = re.search(pattern, self.output(name), re.MULTILINE)
        if match is None:
            raise SystemExit(f"{name}: expected {pattern!r} in its output; found none.")
        return match[1]


def shown(value: float | None) -> str:
    """A metric with four decimals and without a leading zero."""
    if value is None or np.isnan(value):
        return "–"
    return f"{value:.4f}".removeprefix("0") if 0 <= value < 1 else f"{value:.3f}"


def render(results: Results, ml_1m: Results | None = None) -> str:
    """The page, as Markdown; with tables of MovieLens 1M if there are reports of it."""
    environment = Environment(  # noqa: S701 - Markdown
        loader=FileSystemLoader(HERE), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    page = environment.get_template("results.md.j2").render(
        r=results, report=results.first, seeds=results.seeds, m=ml_1m
    )
    return page.rstrip() + "\n"


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("reports", nargs="+", type=Path)
    parser.add_argument("--ml-1m", nargs="+", type=Path, default=[])
    parser.add_argument("--measured", type=Path, default=Path(".marquee/benchmarks"))
    given: Any = parser.parse_args()
    first, second = ([read_report(path) for path in paths] for paths in (given.reports, given.ml_1m))
    page = render(Results(first, given.measured), Results(second, given.measured) if second else None)
    (HERE / "results.md").write_text(page)


if __name__ == "__main__":
    main()
