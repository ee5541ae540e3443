import json
import re
from pathlib import Path

import numpy as np
import pytest

from evaluation.report.feature_charts import histogram
from evaluation.report.features import FeatureReportInput, write_feature_report
from evaluation.report.page import template_sha256
from evaluation.report.projection import main_groups, plane

ITEMS, WIDTH = 40, 6
BLOCKS = {
    "text": {
        "width": 384, "known_items": 39, "weight": 1.0, "variance_share": 0.7, "kept_share": 0.8, "note": "by <b>MiniLM</b>",
    },
    "genres": {"width": 20, "known_items": 1040, "weight": 0.5, "variance_share": 0.3, "kept_share": 0.95, "note": "hot"},
}  # fmt: skip


def report_input(**changes: object) -> FeatureReportInput:
    rng = np.random.default_rng(0)
    groups = [("Drama", "Comedy")[place % 2] for place in range(ITEMS)]
    centres = np.where(np.arange(ITEMS)[:, None] % 2, 1.0, -1.0)
    embedding = (centres + 0.2 * rng.normal(size=(ITEMS, WIDTH))).astype(np.float32)
    values = {
        "title": "Features",
        "generated": False,
        "titles": [f"Title {place} </script><b>" for place in range(ITEMS)],
        "groups": groups,
        "events": np.r_[np.arange(ITEMS - 2)[::-1], 0, 0].astype(np.int64),
        "embedding": embedding,
        "facts": {
            "blocks": BLOCKS,
            "explained_variance": 0.81234,
            "explained_by_dimension": [0.5, 0.2, 0.1],
            "reduction": "PCA",
        },
        "licences": ["cite them"],
        "lineage": {"items": "abc"},
    } | changes
    return FeatureReportInput(**values)  # type: ignore[arg-type]


def test_page_stands_alone_and_escapes(tmp_path: Path) -> None:
    numbers = write_feature_report(tmp_path, report_input())
    page = (tmp_path / "features.html").read_text()
    own = re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)
    assert not re.search(r"(?:src|href)=", own)
    assert "<script src" not in page
    assert "Title 3 &lt;/script&gt;&lt;b&gt;" in own
    assert "<b>MiniLM" not in own
    for said in ("81.2 %", "95.0 %", "1,040", "cite them"):
        assert said in own
    assert len(page) < 3_000_000
    assert json.loads((tmp_path / "features.json").read_text()) == json.loads(json.dumps(numbers))
    assert (tmp_path / "projection.png").read_bytes().startswith(b"\x89PNG")


def test_neighbours_are_those_of_the_cosine(tmp_path: Path) -> None:
    data = report_input()
    found = write_feature_report(tmp_path, data)["neighbours"]
    assert [row["title"] for row in found] == [data.titles[item] for item in range(12)]
    assert [row["events"] for row in found][:2] == [37, 36]
    for item, row in enumerate(found):
        assert len(row["nearest"]) == 10
        cosines = [near["cosine"] for near in row["nearest"]]
        assert cosines == sorted(cosines, reverse=True)
        near = [data.titles.index(near["title"]) for near in row["nearest"]]
        assert item not in near
        assert {place % 2 for place in near} == {item % 2}
        a, b = data.embedding[item].astype(float), data.embedding[near[0]].astype(float)
        assert np.isclose(cosines[0], a @ b / np.linalg.norm(a) / np.linalg.norm(b), atol=1e-5)


def test_cold_and_empty_items_are_counted_and_shown_nowhere(tmp_path: Path) -> None:
    embedding = report_input().embedding.copy()
    embedding[0] = 0
    numbers = write_feature_report(tmp_path, report_input(embedding=embedding))
    assert (numbers["cold_items"], numbers["items_without_vector"]) == (3, 1)
    assert "Title 0 " not in [row["title"][:8] for row in numbers["neighbours"]]


@pytest.mark.parametrize(
    "facts",
    [
        {},
        {"blocks": {}},
        {"blocks": {"odd": {}}, "explained_by_dimension": []},
        {"blocks": {"part": {"width": 3, "variance_share": None, "kept_share": float("nan")}}, "reduction": None},
    ],
)
def test_facts_that_are_missing_leave_a_dash(tmp_path: Path, facts: dict[str, object]) -> None:
    numbers = write_feature_report(tmp_path, report_input(facts=facts))
    page = (tmp_path / "features.html").read_text()
    assert numbers["explained_variance"] is None
    assert "Nearest neighbours" in page
    assert not re.search(r"\bnan\b", re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL))


def test_equal_input_gives_equal_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        write_feature_report(tmp_path / name, report_input())
    for file in ("features.html", "features.json", "projection.png"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


@pytest.mark.parametrize("projection", ["tsne", "pca"])
def test_projection_keeps_groups_apart(projection: str) -> None:
    data = report_input(projection=projection)
    flat = plane(data.embedding, data.projection, data.seed)
    assert flat.shape == (ITEMS, 2)
    distance = np.linalg.norm(flat[:, None] - flat[None], axis=2)
    np.fill_diagonal(distance, np.inf)
    assert (distance.argmin(axis=1) % 2 == np.arange(ITEMS) % 2).mean() > 0.9


@pytest.mark.parametrize(("items", "width"), [(1, 3), (2, 1), (3, 3), (12, 1)])
def test_tiny_catalogues_have_a_page_too(tmp_path: Path, items: int, width: int) -> None:
    rng = np.random.default_rng(0)
    data = report_input(
        titles=["t"] * items, groups=[""] * items, events=np.ones(items, np.int64),
        embedding=rng.normal(size=(items, width)).astype(np.float32),
    )  # fmt: skip
    assert write_feature_report(tmp_path, data)["items"] == items


def test_rare_and_unknown_groups_are_others() -> None:
    names = [name for place in range(12) for name in [f"g{place:02d}"] * (20 - place)] + [""]
    grouped, legend = main_groups(names)
    assert legend == [*(f"g{place:02d}" for place in range(9)), "other"]
    assert (grouped[0], grouped[-1], grouped.count("other")) == ("g00", "other", 11 + 10 + 9 + 1)
    assert main_groups(["a", "b", "a"]) == (["a", "b", "a"], ["a", "b"])


def test_a_template_stands_for_those_it_builds_on() -> None:
    assert template_sha256("features.html.j2") != template_sha256("report.html.j2")


def test_equal_values_are_one_bar() -> None:
    spec = histogram(np.full(7, 3.0) + np.linspace(0, 1e-7, 7), "norm")
    (rows,) = spec["datasets"].values()
    assert [row["items"] for row in rows if row["items"]] == [7]
    assert rows[0]["low"] == 2.5
