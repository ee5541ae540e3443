"""Linear layers by products of 8-bit integers, for CPUs that multiply those several times faster than floats.

Weights are rounded once, with a scale per output; activations as they come, with a scale per row (dynamic quantisation).
A transformer has few activations that are far larger than the rest and would spoil their row's scale: the largest of a
row are multiplied in float32 instead (Dettmers et al. 2022, LLM.int8(), section 3.2; there by column, here by row).
Integer products are exact and all else is done row by row, so that a row's result does not depend on the rows beside it.
"""

import torch

from models.compiled import helper

OUTLIERS = 2  # of a row; without any MiniLM's error is five times as large, with more hardly smaller
LEVELS = 127  # symmetric: -127 … 127
LEAST = 1e-30  # a row below it is zeros: 127 / it would overflow
COLUMNS, DEPTH = 64, 4  # the helper takes so many columns at once, and products in fours

_int8 = helper("_int8")


def int8_is_fast() -> bool:
    """Whether this CPU has AVX512-VNNI and the helper that uses it is built; without them int8 is slow, to the same bits."""
    return _int8 is not None and _int8.supported()


class Int8Linear(torch.nn.Module):
    """`torch.nn.Linear` on a CPU, for inference; takes and gives float32, on one thread.

    Zeros fill its K inputs up to K', a multiple of DEPTH, and its N outputs up to N', one of COLUMNS.
    """

    packed: torch.Tensor  # (N' / COLUMNS, K' / DEPTH, COLUMNS, DEPTH) int8, in the order in which they are multiplied
    start: torch.Tensor  # (N',) int32: the helper's rows are raised by 128, which this takes back
    scale: torch.Tensor  # (N',) float32
    weight: torch.Tensor  # (K, N') float32, for outliers
    bias: torch.Tensor  # (N',) float32

    def __init__(self, linear: torch.nn.Linear) -> None:
        super().__init__()
        self.inputs, self.outputs = linear.in_features, linear.out_features
        columns = -self.outputs % COLUMNS
        weight = torch.nn.functional.pad(linear.weight.detach().float(), (0, 0, 0, columns)).t().contiguous()
        bias = torch.zeros(self.outputs) if linear.bias is None else linear.bias.detach().float()
        scale = (weight.abs().amax(0) / LEVELS).clamp(min=LEAST)
        integers = (weight / scale).round().to(torch.int8)
        packed = torch.nn.functional.pad(integers, (0, 0, 0, -self.inputs % DEPTH))
        packed = packed.view(-1, DEPTH, weight.shape[1] // COLUMNS, COLUMNS).permute(2, 0, 3, 1).contiguous()
        self.register_buffer("packed", packed)
        self.register_buffer("start", -128 * integers.sum(0, dtype=torch.int32))
        self.register_buffer("scale", scale)
        self.register_buffer("weight", weight)
        self.register_buffer("bias", torch.nn.functional.pad(bias, (0, columns)))

    @classmethod
    def replace_in(cls, model: torch.nn.Module) -> None:
        """Put one in the place of every linear layer inside `model` that is wider than its outliers."""
        for parent in list(model.modules()):
            for name, child in parent.named_children():
                if isinstance(child, torch.nn.Linear) and child.in_features > OUTLIERS:
                    setattr(parent, name, cls(child))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(…, K) float32 to (…, N) float32.

        Raises:
            ValueError: x is no float32 of K columns.
        """
        if x.dtype != torch.float32 or x.shape[-1] != self.inputs:
            raise ValueError(
                f"Int8Linear: expected float32 of {self.inputs} columns; found {x.dtype} of {x.shape[-1]}. "
                "Load the model at float32."
            )
        if _int8 is None or not _int8.supported():
            return self.pure(x)
        rows = x.reshape(-1, self.inputs).contiguous()
        out = torch.empty((*x.shape[:-1], self.outputs))
        given = (rows, self.packed, self.start, self.scale, self.bias, self.weight, out)
        _int8.linear(*(tensor.numpy() for tensor in given), len(rows), self.inputs, self.outputs)
        return out

    def pure(self, x: torch.Tensor) -> torch.Tensor:
        """The same to the bit with torch alone."""
        left = x.reshape(-1, self.inputs).clone()
        outliers = []
        for _ in range(OUTLIERS):
            first = torch.from_numpy(left.abs().numpy().argmax(1))  # numpy promises the first of equals
            outliers.append(left.gather(1, first[:, None]) * self.weight[first])
            left.scatter_(1, first[:, None], 0.0)
        largest = left.abs().amax(1, keepdim=True)
        filled = largest > LEAST
        # A number divided by a tensor would be multiplied by its reciprocal, which rounds twice.
        steps = torch.where(filled, torch.full_like(largest, LEVELS) / largest, 0.0)
        integers = self.packed.permute(1, 3, 0, 2).reshape(-1, len(self.scale))[: self.inputs]
        products = (left * steps).round().double() @ integers.double()  # exact
        out = products.float() * torch.where(filled, largest / LEVELS, 0.0) * self.scale
        for more in outliers:
            out += more
        return (out + self.bias)[:, : self.outputs].reshape(*x.shape[:-1], self.outputs)
