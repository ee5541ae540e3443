"""Checks of a policy that comes from a file, before anything is allocated for it."""

from collections.abc import Mapping
from typing import Any, TypeVar

import torch
from pydantic import BaseModel, ValidationError
from torch import Tensor

from models.errors import PolicyError

Config = TypeVar("Config", bound=BaseModel)


def format_of(model: type[BaseModel]) -> str:
    """The format of the stored policies whose configs are of a model."""
    return str(model.model_fields["format"].default)


def parsed(model: type[Config], values: Mapping[str, Any]) -> Config:
    """The config of a stored policy, from JSON: exactly the fields of `model`, without conversions.

    Raises:
        PolicyError: the format is another one, or a field is missing, unknown, of another type or out of bounds.
    """
    if values.get("format") != format_of(model):
        raise PolicyError(
            f"policy: expected format {format_of(model)}; found {values.get('format')!r}. Train it again."
        )
    try:
        return model.model_validate(values, strict=True)
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, one['loc'])) or 'config'}: {one['msg']}, found {str(one['input'])[:40]!r}"
            for one in error.errors()[:5]
        )
        raise unfit("a valid config", problems) from error


def need_tensors(found: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    """Refuse tensors of other names, shapes or dtypes than the expected ones.

    Args:
        found: from a file.
        expected: may be on the device `meta`, where tensors have shapes and dtypes and take no memory.

    Raises:
        PolicyError: they differ.
    """
    if found.keys() != expected.keys():
        missing, unknown = sorted(expected.keys() - found.keys()), sorted(found.keys() - expected.keys())
        raise unfit("weights that fit its config", f"missing {missing[:5]}, unknown {unknown[:5]}")
    for name, wanted in expected.items():
        tensor = found[name]
        if (tensor.shape, tensor.dtype) != (wanted.shape, wanted.dtype):
            raise unfit(
                f"weights that fit its config, {name} {tuple(wanted.shape)} of {wanted.dtype}",
                f"{tuple(tensor.shape)} of {tensor.dtype}",
            )


def need_finite(tensors: Mapping[str, Tensor]) -> None:
    """Refuse numbers that are not finite.

    Raises:
        PolicyError: there is one, or a dtype has no order.
    """
    for name, tensor in tensors.items():
        try:
            bounds = torch.stack(tensor.aminmax()) if tensor.numel() else tensor
        except RuntimeError as error:
            raise unfit("weights of a common dtype", f"{tensor.dtype} in {name}") from error
        if not bool(bounds.isfinite().all()):
            raise unfit("finite weights", f"NaN or infinity in {name}")


def unfit(expected: str, found: object) -> PolicyError:
    """The error of a stored policy that cannot be used."""
    return PolicyError(f"policy: expected {expected}; found {found}. Pull it again or train it again.")
