"""Linear layers in 8 bits: the helper and torch give the same bits, row by row, near the float layer's."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.encoders import int8
from models.encoders.int8 import Int8Linear, int8_is_fast

needs_vnni = pytest.mark.skipif(not int8_is_fast(), reason="no AVX512-VNNI, or models._int8 is not built")


def layer(inputs: int, outputs: int, seed: int = 0, bias: bool = True) -> torch.nn.Linear:
    torch.manual_seed(seed)
    return torch.nn.Linear(inputs, outputs, bias)


@needs_vnni
@settings(max_examples=150, deadline=None)
@given(
    rows=st.integers(0, 20),
    inputs=st.integers(3, 150),
    outputs=st.integers(1, 150),
    seed=st.integers(0, 1000),
    magnitude=st.sampled_from([1e-32, 1e-20, 1.0, 1e20]),
    steps=st.sampled_from([0, 1, 3, 254]),
    bias=st.booleans(),
)
def test_the_helper_and_torch_give_the_same_bits(
    rows: int, inputs: int, outputs: int, seed: int, magnitude: float, steps: int, bias: bool
) -> None:
    x = torch.randn(rows, inputs, generator=torch.Generator().manual_seed(seed))
    if steps:  # equal magnitudes, zeros, and halves that must round to even
        x = (x * steps).round() / steps
    x = x * magnitude
    linear = Int8Linear(layer(inputs, outputs, seed, bias))
    with torch.inference_mode():
        assert linear(x).numpy().tobytes() == linear.pure(x).numpy().tobytes()


@pytest.mark.parametrize("way", [pytest.param("helper", marks=needs_vnni), "torch"])
def test_a_row_does_not_depend_on_the_rows_beside_it(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if way == "torch":
        monkeypatch.setattr(int8, "_int8", None)
    linear, x = Int8Linear(layer(96, 70)), torch.randn(23, 96)
    x[5] *= 1e6
    whole = linear(x)
    for chosen in ([5], [0, 22], [7, 5, 3, 1], list(range(1, 14))):
        assert torch.equal(linear(x[chosen]), whole[chosen])


def test_outliers_do_not_spoil_their_row() -> None:
    plain = layer(384, 128)
    x = torch.randn(50, 384)
    x[:, 7], x[:, 300] = 400.0, -90.0
    expected = plain(x)
    wrong = (Int8Linear(plain)(x) - expected).norm() / expected.norm()
    assert wrong < 0.005


def test_shapes_are_those_of_linear() -> None:
    plain = layer(10, 3, bias=False)
    assert Int8Linear(plain)(torch.randn(2, 5, 10)).shape == (2, 5, 3)
    assert Int8Linear(plain)(torch.randn(2, 10, 5).transpose(1, 2)).shape == (2, 5, 3)
    assert not Int8Linear(plain)(torch.zeros(4, 10)).any()


def test_not_a_number_stays_one() -> None:
    x = torch.randn(3, 10)
    x[1, 4] = torch.nan
    y = Int8Linear(layer(10, 3))(x)
    assert torch.isnan(y[1]).all()
    assert torch.isfinite(y[[0, 2]]).all()


@pytest.mark.parametrize("x", [torch.randn(2, 9), torch.randn(2, 10).double(), torch.randn(2, 10).bfloat16()])
def test_other_inputs_are_refused(x: torch.Tensor) -> None:
    with pytest.raises(ValueError, match="expected float32 of 10 columns"):
        Int8Linear(layer(10, 3))(x)


@needs_vnni
def test_the_helper_refuses_buffers_that_do_not_fit() -> None:
    given = [np.zeros(size, dtype) for size, dtype in (
        (20, "f4"), (64 * 12, "i1"), (64, "i4"), (64, "f4"), (64, "f4"), (640, "f4"), (6, "f4"),
    )]  # fmt: skip
    assert int8._int8 is not None
    int8._int8.linear(*given, 2, 10, 3)
    for place in range(len(given)):
        with pytest.raises(ValueError, match="do not fit"):
            int8._int8.linear(*given[:place], given[place][1:], *given[place + 1 :], 2, 10, 3)
    for sizes in ((-1, 10, 3), (2, 1, 3), (2, 10, 0), (2**62, 10, 3)):
        with pytest.raises(ValueError, match="found"):
            int8._int8.linear(*given, *sizes)


def test_every_linear_layer_of_a_model_is_replaced() -> None:
    model = torch.nn.Sequential(layer(8, 8), torch.nn.Sequential(torch.nn.GELU(), layer(8, 4)))
    Int8Linear.replace_in(model)
    assert [type(found) for found in model.modules() if not isinstance(found, torch.nn.Sequential)] == [
        Int8Linear, torch.nn.GELU, Int8Linear,
    ]  # fmt: skip
    assert model(torch.randn(3, 8)).shape == (3, 4)
