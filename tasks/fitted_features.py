"""The file in which the fitted features of a dataset are kept."""

import json
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from models.encoders.fitted import FittedFeatures
from models.errors import EncoderError
from storage.dataset.item_table import FEATURES
from storage.errors import DatasetError


def write_features(folder: Path, fitted: FittedFeatures) -> None:
    """Write the fitted features: numbers as tensors, all else as JSON in the file's metadata."""
    save_file(fitted.arrays(), folder / FEATURES, {"config": json.dumps(fitted.config())})


def read_features(folder: Path) -> FittedFeatures:
    """The fitted features of a dataset's or an items artifact's folder, which may come from somebody else.

    Raises:
        DatasetError: the file is missing, damaged or not valid.
    """
    path = folder / FEATURES
    if not path.is_file():
        raise DatasetError(
            f"{path}: expected the fitted features of the items; found no such file. The dataset was built by an earlier version of "
            "Marquee: build it again with build-dataset."
        )
    try:
        with safe_open(path, "np") as file:
            config = json.loads((file.metadata() or {})["config"])
            return FittedFeatures.from_arrays(config, {name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118
    except (OSError, SafetensorError, ValueError, KeyError, TypeError, RecursionError, EncoderError) as error:
        raise DatasetError(
            f"{path}: expected fitted features; found {error}. Pull it again or build it again."
        ) from error
