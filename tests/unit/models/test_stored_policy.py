import math
from typing import Literal

import pytest
import torch
from pydantic import BaseModel, ConfigDict, Field

from models.errors import PolicyError
from models.stored_policy import need_finite, need_tensors, parsed


class Example(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal["example/1"] = "example/1"
    width: int = Field(ge=1, le=8)


def test_a_config_has_exactly_its_fields_without_conversions() -> None:
    assert parsed(Example, {"format": "example/1", "width": 3}).width == 3
    for values, message in (
        ({"width": 9}, "width: Input should be less than or equal to 8, found '9'"),
        ({"width": "3"}, "width: Input should be a valid integer"),
        ({"width": True}, "width: Input should be a valid integer"),
        ({}, "width: Field required"),
        ({"width": 3, "more": "x" * 900}, "more: Extra inputs are not permitted, found 'x{40}'"),
        ({"format": "example/2"}, "expected format example/1; found 'example/2'"),
    ):
        with pytest.raises(PolicyError, match=message):
            parsed(Example, {"format": "example/1"} | values)


def test_tensors_have_the_expected_names_shapes_and_dtypes() -> None:
    expected = {"a": torch.empty(2, 3, device="meta"), "b": torch.empty(1, dtype=torch.int64, device="meta")}
    good = {"a": torch.ones(2, 3), "b": torch.ones(1, dtype=torch.int64)}
    need_tensors(good, expected)
    for change, message in (
        ({"a": torch.ones(3, 2)}, r"a \(2, 3\) of torch.float32; found \(3, 2\) of torch.float32"),
        ({"b": torch.ones(1)}, r"b \(1,\) of torch.int64; found \(1,\) of torch.float32"),
        ({"c": torch.ones(1)}, r"missing \[\], unknown \['c'\]"),
    ):
        with pytest.raises(PolicyError, match=message):
            need_tensors(good | change, expected)
    with pytest.raises(PolicyError, match=r"missing \['b'\], unknown \[\]"):
        need_tensors({"a": good["a"]}, expected)


def test_numbers_are_finite_and_of_a_dtype_that_has_an_order() -> None:
    need_finite({"a": torch.ones(2, 3).half(), "b": torch.ones(1, dtype=torch.int64), "none": torch.empty(0, 0)})
    for bad in (math.inf, -math.inf, math.nan):
        with pytest.raises(PolicyError, match="finite weights; found NaN or infinity in b"):
            need_finite({"a": torch.ones(1), "b": torch.tensor([[1.0, bad]])})
    with pytest.raises(PolicyError, match=r"weights of a common dtype; found torch\.complex64 in c"):
        need_finite({"c": torch.ones(2, dtype=torch.complex64)})
