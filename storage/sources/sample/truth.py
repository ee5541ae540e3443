"""The truth behind generated ratings, stored beside them: arrays by name, and parameters."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


def write_truth(folder: Path, arrays: Mapping[str, NDArray[Any]], parameters: Mapping[str, Any]) -> None:
    """Write truth/<name>.npy of each array, and truth/parameters.json."""
    (folder / "truth").mkdir(parents=True)
    for name, values in arrays.items():
        np.save(folder / "truth" / f"{name}.npy", values, allow_pickle=False)
    (folder / "truth" / "parameters.json").write_text(json.dumps(parameters, indent=2))


def read_truth(folder: Path) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """The arrays and parameters that were written into `folder`."""
    arrays = {path.stem: np.load(path, allow_pickle=False) for path in sorted((folder / "truth").glob("*.npy"))}
    return arrays, json.loads((folder / "truth" / "parameters.json").read_text())
