"""Named sets of hyper-parameters: `default` is what the configs say, `article` is what each learner's entry says."""

from typing import Any, Literal

from models.learners.registry import LEARNERS

PresetName = Literal["default", "article"]

# The article: RAdam until validation worsens, then Adam. The profiles validate 8 to 20 times, hence the low patience.
TRAINER: dict[str, Any] = {"stages": ("radam", "adam"), "patience": 3}


def with_preset(values: dict[str, Any]) -> dict[str, Any]:
    """Fill in the preset's values where `values` gives none: learners' configs by name, and the trainer's."""
    if values.get("preset") != "article":
        return values
    sets = {name: dict(entry.article) for name, entry in LEARNERS.items() if entry.article} | {"trainer": TRAINER}
    return values | {name: _merged(preset, values.get(name, {})) for name, preset in sets.items()}


def _merged(preset: dict[str, Any], given: Any) -> Any:
    """`given` over `preset`, field by field; a value that is no dictionary stays as it is."""
    if not isinstance(given, dict):
        return given
    nested = {
        name: _merged(value, given[name]) for name, value in preset.items() if name in given and isinstance(value, dict)
    }
    return preset | given | nested
