"""Checks of a policy that comes from a file, before anything is allocated for it."""

from collections.abc import Mapping
from typing import TypeVar

from pydantic import BaseModel, ValidationError
from torch import Tensor

from models.errors import PolicyError

Config = TypeVar("Config", bound=BaseModel)


def parsed(model: type[Config], values: object, name: str) -> Config:
    """The config of a stored policy: exactly the fields of `model`, without conversions.

    Args:
        model: the fields and their bounds.
        values: from JSON.
        name: of the part that is parsed, for the message.

    Raises:
        PolicyError: a field is missing, unknown, of another type or out of bounds.
    """
    try:
        return model.model_validate(values, strict=True)
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, one['loc'])) or name}: {one['msg']}, found {str(one['input'])[:40]!r}"
            for one in error.errors()[:5]
        )
        raise unfit(f"a valid {name}", problems) from error


def need_tensors(found: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    """Refuse tensors of other names, shapes or dtypes than the expected ones, and numbers that are not finite.

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
        if not bool(tensor.isfinite().all()):
            raise unfit("finite weights", f"NaN or infinity in {name}")


def unfit(expected: str, found: object) -> PolicyError:
    """The error of a stored policy that cannot be used."""
    return PolicyError(f"policy: expected {expected}; found {found}. Pull it again or train it again.")
