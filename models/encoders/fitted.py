"""The fitted feature blocks of a dataset's items, which place further items among them."""

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from models.encoders.blocks import BLOCKS
from models.encoders.columns import ItemColumns
from models.encoders.reduce import Reducer
from models.encoders.tabular import Fit, Floats
from models.errors import EncoderError

FORMAT: Literal["marquee-features/1"] = "marquee-features/1"


class StoredFeatures(BaseModel):
    """All of the fitted features but their numbers."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal["marquee-features/1"] = FORMAT
    blocks: dict[str, list[str]] = Field(description="The blocks in their order, and the names of their columns.")
    layers: int = Field(ge=1, le=2, description="Layers of the reduction.")
    encoder: dict[str, Any] = Field(description="Parameters and weights' identity of the text encoder.")


class FittedFeatures(NamedTuple):
    """What was fitted on the training items of a dataset.

    Attributes:
        blocks: by name, in the order of their columns.
        reducer: what makes embeddings of them.
        encoder: parameters and weights' identity of the text encoder.
    """

    blocks: Mapping[str, Fit]
    reducer: Reducer
    encoder: Mapping[str, Any]

    def embed(self, items: ItemColumns) -> Floats:
        """The embeddings (I, D) of further items, which have no events; nothing is fitted."""
        if not len(items.train):
            return np.zeros((0, len(self.reducer.layers[-1][1])), dtype=np.float32)
        columns = [BLOCKS[name].apply(fit, items).values for name, fit in self.blocks.items()]
        return self.reducer.reduced(self.reducer.scaled(np.concatenate(columns, axis=1)))

    def config(self) -> dict[str, Any]:
        """All but the numbers, as JSON."""
        blocks = {name: fit.names for name, fit in self.blocks.items()}
        return StoredFeatures(blocks=blocks, layers=len(self.reducer.layers), encoder=dict(self.encoder)).model_dump(
            mode="json"
        )

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The numbers by name."""
        found: dict[str, NDArray[Any]] = {"mean": self.reducer.mean, "scale": self.reducer.scale}
        for place, (weight, bias) in enumerate(self.reducer.layers):
            found |= {f"layers.{place}.weight": weight, f"layers.{place}.bias": bias}
        found |= {f"{name}.{key}": array for name, fit in self.blocks.items() for key, array in fit.arrays.items()}
        return {name: np.ascontiguousarray(array) for name, array in found.items()}

    @classmethod
    def from_arrays(cls, config: object, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """The fitted features of `config()` and `arrays()`, which may come from somebody else.

        Raises:
            EncoderError: the format is another one, or config and numbers do not fit one another.
        """
        try:
            stored = StoredFeatures.model_validate(config, strict=True)
            if not all(bool(np.isfinite(array).all()) for array in arrays.values()):
                raise ValueError("numbers that are not finite")
            layers = tuple(
                (arrays[f"layers.{place}.weight"], arrays[f"layers.{place}.bias"]) for place in range(stored.layers)
            )
            of_block = {
                name: {
                    key.removeprefix(f"{name}."): array for key, array in arrays.items() if key.startswith(f"{name}.")
                }
                for name in stored.blocks
            }
            made = cls(
                {name: Fit(names, of_block[name]) for name, names in stored.blocks.items()},
                Reducer(arrays["mean"], arrays["scale"], layers),
                stored.encoder,
            )
            made.embed(unknown_item(len(stored.blocks.get("text", ()))))  # all shapes fit if this works
        except (ValidationError, ValueError, KeyError, IndexError, TypeError) as error:
            found = f"{type(error).__name__}: {error}"[:300]
            raise EncoderError(f"fitted features: expected valid ones of format {FORMAT}; found {found}.") from error
        return made


def unknown_item(width: int) -> ItemColumns:
    """One item of which nothing is known, with text vectors of a width."""
    return ItemColumns(train=np.zeros(1, dtype=bool), text_vectors=np.zeros((1, width), np.float32), texts=("",))
