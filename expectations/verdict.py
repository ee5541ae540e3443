"""What a suite says of a table, for programs and people; Great Expectations is not needed to read it."""

import json
from typing import Any

from pydantic import BaseModel, ConfigDict


class Failure(BaseModel):
    """One expectation that was not met."""

    model_config = ConfigDict(frozen=True)

    expectation: str
    column: str | None
    severity: str
    why: str
    unexpected: int | None
    found: str | None
    examples: tuple[dict[str, Any], ...]


class Verdict(BaseModel):
    """What a suite says of a table."""

    model_config = ConfigDict(frozen=True)

    suite: str
    rows: int
    expectations: int
    passed: bool
    failures: tuple[Failure, ...]
    warnings: tuple[Failure, ...]

    def message(self) -> str:
        """The verdict for people: what was expected, what was found, where, and what to do next."""
        if self.rows == 0:
            return f"{self.suite}: expected rows; found an empty table. Check the step before and its input."
        lines = [
            f"{self.suite}: {self.rows} rows, {self.expectations} expectations: {'passed' if self.passed else 'FAILED'}."
        ]
        for label, group in (("failed", self.failures), ("warning", self.warnings)):
            for failure in group:
                count = (
                    f"{failure.unexpected} unexpected" if failure.unexpected is not None else f"found {failure.found}"
                )
                lines.append(f"- {label}: {failure.expectation}({failure.column or 'table'}): {count}. {failure.why}")
                lines += [f"    {json.dumps(example, default=str)}" for example in failure.examples]
        if not self.passed:
            lines.append("Mend the input named above and run again; nothing after this gate was made.")
        return "\n".join(lines)
