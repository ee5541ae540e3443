"""Training on several processes, the ranks of torch.distributed: each applies the networks to its own rows of a batch.

All ranks draw the same batch and the same noise. A network is applied to a rank's rows only (`by_rows`), and its outputs are
joined, so that every rank computes the same loss of the whole batch. A loss may therefore depend on its rows in any way: on
their number, their mean, or pairs of them.

The gradient is exact for the same reason. Rank r has a copy θ_r of the weights and computes L_r, which depends on all copies
through the joined outputs; all L_r are equal. The backward pass of `by_rows` adds up the gradients from all ranks, so rank r
has d(Σ_s L_s)/dθ_r. The mean of these over the ranks (`average_gradients`) is the gradient of L by θ. It does not matter which
parts of L are computed by rows, and which by every rank.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar, cast

import torch
from torch import Tensor, distributed
from torch.autograd.function import FunctionCtx
from torch.nn import Parameter

T = TypeVar("T")
# Whether this process computes an update together with the other ranks. ONNX's exporter can follow a bool.
_shared = False


def rank_count() -> int:
    """How many ranks train together; 1 without torch.distributed."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


def is_first() -> bool:
    """Whether this is the rank that validates, logs and writes files."""
    return rank_count() == 1 or distributed.get_rank() == 0


def from_first(make: Callable[[], T]) -> T:
    """What `make` returns on the first rank; on the others it is not called."""
    if rank_count() == 1:
        return make()
    found = [make() if is_first() else None]
    distributed.broadcast_object_list(found)
    return cast(T, found[0])


@contextmanager
def shared_update() -> Iterator[None]:
    """Context in which `by_rows` and `average_gradients` involve all ranks, which must all be in it."""
    global _shared  # noqa: PLW0603
    _shared = rank_count() > 1
    try:
        yield
    finally:
        _shared = False


def by_rows(network: Callable[..., Tensor], *inputs: Tensor, dim: int = 0) -> Tensor:
    """Apply a network that treats each row of its inputs alone; within `shared_update` each rank does this for its rows.

    Args:
        network: without random draws, which would differ between ranks.
        inputs: (N, …) each, equal on all ranks.
        dim: of the output's N rows.

    Returns:
        The output for all N rows, equal on all ranks.
    """
    if not _shared or len(inputs[0]) < rank_count():
        return network(*inputs)
    rows, rank, ranks = len(inputs[0]), distributed.get_rank(), rank_count()
    begin, end = rows * rank // ranks, rows * (rank + 1) // ranks
    part = network(*(whole[begin:end] for whole in inputs))
    joined: Tensor = _Joined.apply(part, dim, begin, rows)  # type: ignore[no-untyped-call]
    return joined


def average_gradients(parameters: Iterable[Parameter]) -> None:
    """Within `shared_update`: replace each gradient by its mean over the ranks."""
    if not _shared:
        return
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    means = torch.cat([gradient.flatten() for gradient in gradients]).div_(rank_count())
    distributed.all_reduce(means)
    for gradient, mean in zip(gradients, means.split([gradient.numel() for gradient in gradients]), strict=True):
        gradient.copy_(mean.view_as(gradient))


class _Joined(torch.autograd.Function):
    """All ranks' rows as one tensor, by a sum with zeros, for which parts may differ in size."""

    @staticmethod
    def forward(ctx: FunctionCtx, part: Tensor, dim: int, begin: int, rows: int) -> Tensor:
        ctx.place = dim, begin, part.shape[dim]  # type: ignore[attr-defined]
        shape = list(part.shape)
        shape[dim] = rows
        whole = part.new_zeros(shape)
        whole.narrow(*ctx.place).copy_(part)  # type: ignore[attr-defined]
        distributed.all_reduce(whole)
        return whole

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        whole = gradients[0].clone(memory_format=torch.contiguous_format)
        distributed.all_reduce(whole)
        return whole.narrow(*ctx.place), None, None, None
