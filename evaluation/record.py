"""The base class of all numbers in a report."""

from pydantic import BaseModel, ConfigDict


class Record(BaseModel):
    """Numbers that belong together in report.json; None if a number does not exist."""

    model_config = ConfigDict(frozen=True, extra="forbid")
