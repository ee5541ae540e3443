import numpy as np
from items_support import built, items_of

from models.encoders.blocks.numbers import BLOCK


def column(name: str, values: list[float], train: list[bool] | None = None) -> list[float]:
    block = built(BLOCK, items_of(train or [True] * len(values), numbers={name: values}))
    return [float(value) for value in block.values[:, block.names.index(name)]]


def test_no_money_is_unknown_money_but_no_votes_are_no_votes() -> None:
    block = built(BLOCK, items_of([True] * 3, numbers={"budget_usd": [0, 1e6, 1e8], "vote_count": [0, 10, 1000]}))
    assert block.names == ["budget_usd", "vote_count", "budget_usd unknown", "vote_count unknown"]
    assert block.values[:, 2].tolist() == [1, 0, 0]
    assert block.values[0, 0] == 0  # unknown is average
    assert block.values[:, 3].tolist() == [0, 0, 0]
    assert block.values[0, 1] < -1  # zero is little


def test_amounts_are_logarithmic_and_years_are_not() -> None:
    low, middle, high = column("revenue_usd", [1e4, 1e6, 1e8])
    assert np.isclose(high - middle, middle - low, atol=1e-3)
    low, middle, high = column("year", [1920, 1960, 2000])
    assert np.isclose(high - middle, middle - low, atol=1e-5)


def test_december_is_beside_january() -> None:
    block = built(BLOCK, items_of([True] * 12, numbers={"release_month": list(range(1, 13))}))
    points = block.values[:, :2]
    distance = np.linalg.norm(points - points[0], axis=1)
    assert np.isclose(distance[11], distance[1], atol=1e-5)
    assert distance.argmax() == 6


def test_what_no_training_item_has_is_left_out() -> None:
    items = items_of([True, False], numbers={"metascore": [np.nan, 80], "year": [1990, np.nan]})
    block = built(BLOCK, items)
    assert block.names == ["year", "year unknown"]
    assert block.known.tolist() == [True, False]
