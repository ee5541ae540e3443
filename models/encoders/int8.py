"""Linear layers by products of 8-bit integers, for CPUs that multiply those several times faster than floats.

Weights are rounded once, with a scale per output; activations as they come, with a scale per row (dynamic quantisation).
A transformer has few activations that are far larger than the rest and would spoil their row's scale: the largest of a
row are multiplied in float32 instead (Dettmers et al. 2022, LLM.int8(), section 3.2; there by column, here by row).
Integer products are exact and all else is done row by row, so that a row's result does not depend on the rows beside it.
"""

from typing import NamedTuple, Self

import torch

from models.compiled import helper

OUTLIERS = 2  # of a row; one is nearly enough for MiniLM, none costs three times the error
LEVELS = 127  # symmetric: -127 … 127
LEAST = 1e-30  # a row below it is zeros: 127 / it would overflow

_int8 = helper("_int8")


class Quantised(NamedTuple):
    """Rows as `integers * scale`, with `value` at the places `place`, where the integers are 0."""

    integers: torch.Tensor  # (M, K) int8
    scale: torch.Tensor  # (M,) float32
    value: torch.Tensor  # (M, OUTLIERS) float32
    place: torch.Tensor  # (M, OUTLIERS) int32


class Int8Linear(torch.nn.Module):
    """`torch.nn.Linear` on a CPU, for inference; takes and gives float32."""

    integers: torch.Tensor  # (K, N) int8
    scale: torch.Tensor  # (N,) float32
    weight: torch.Tensor  # (K, N) float32, for outliers
    bias: torch.Tensor  # (N,) float32

    def __init__(self, linear: torch.nn.Linear) -> None:
        super().__init__()
        weight = linear.weight.detach().float()
        scale = (weight.abs().amax(1) / LEVELS).clamp(min=LEAST)
        bias = torch.zeros(len(weight)) if linear.bias is None else linear.bias.detach().float()
        self.register_buffer("integers", (weight / scale[:, None]).round().to(torch.int8).t())
        self.register_buffer("scale", scale)
        self.register_buffer("weight", weight.t().contiguous())
        self.register_buffer("bias", bias)

    @classmethod
    def replace_in(cls, model: torch.nn.Module) -> None:
        """Put one in the place of every linear layer inside `model`."""
        for parent in list(model.modules()):
            for name, child in parent.named_children():
                if isinstance(child, torch.nn.Linear):
                    setattr(parent, name, cls(child))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(…, K) float32 to (…, N) float32."""
        rows = quantise(x.reshape(-1, x.shape[-1]))
        products = torch._int_mm(rows.integers, self.integers)
        return self.combine(products, rows).view(*x.shape[:-1], -1)

    def combine(self, products: torch.Tensor, rows: Quantised) -> torch.Tensor:
        """Integer products, (M, N) int32, of `rows` as floats, (M, N)."""
        if _int8 is None:
            return combine_pure(products, rows, self)
        out = torch.empty(products.shape)
        given = (products, rows.scale, rows.value, rows.place, self.scale, self.bias, self.weight, out)
        _int8.combine(*(tensor.numpy() for tensor in given))
        return out


def quantise(x: torch.Tensor, outliers: int = OUTLIERS) -> Quantised:
    """Rows of x, (M, K) float32, in 8 bits but for their largest."""
    if _int8 is None:
        return quantise_pure(x, outliers)
    count = len(x)
    rows = Quantised(
        torch.empty(x.shape, dtype=torch.int8),
        torch.empty(count),
        torch.empty((count, outliers)),
        torch.empty((count, outliers), dtype=torch.int32),
    )
    _int8.quantise(x.contiguous().numpy(), *(tensor.numpy() for tensor in rows))
    return rows


def quantise_pure(x: torch.Tensor, outliers: int = OUTLIERS) -> Quantised:
    """`quantise` with torch alone, to the same bits."""
    left, value, place = x.clone(), [], []
    for _ in range(outliers):
        first = torch.from_numpy(left.abs().numpy().argmax(1))[:, None]  # numpy promises the first of equals
        place.append(first.int())
        value.append(left.gather(1, first))
        left.scatter_(1, first, 0.0)
    largest = left.abs().amax(1)
    filled = largest > LEAST
    # A number divided by a tensor would be multiplied by its reciprocal, which rounds twice.
    steps = torch.where(filled, torch.full_like(largest, LEVELS) / largest, 0.0)
    return Quantised(
        (left * steps[:, None]).round().to(torch.int8),
        torch.where(filled, largest / LEVELS, 0.0),
        torch.cat(value, 1) if value else x[:, :0],
        torch.cat(place, 1) if place else x[:, :0].int(),
    )


def combine_pure(products: torch.Tensor, rows: Quantised, layer: Int8Linear) -> torch.Tensor:
    """`Int8Linear.combine` with torch alone, to the same bits."""
    out = products.float() * rows.scale[:, None] * layer.scale
    for value, place in zip(rows.value.T, rows.place.T, strict=True):
        out += value[:, None] * layer.weight[place]
    return out + layer.bias
