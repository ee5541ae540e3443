"""What every part of a report is."""

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """Numbers of one part of a report, all that its page shows and its charts draw; None where a number does not exist."""

    model_config = ConfigDict(frozen=True, extra="forbid")
