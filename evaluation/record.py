"""The base class of all numbers in a report."""

from pydantic import BaseModel, ConfigDict


class Record(BaseModel):
    """An object of report.json; None stands for a number that does not exist."""

    model_config = ConfigDict(frozen=True, extra="forbid")
