"""The result of validating a table; it is read without Great Expectations."""

import json
from typing import Any

from pydantic import BaseModel, ConfigDict


class Failure(BaseModel):
    """One expectation that a table does not meet."""

    model_config = ConfigDict(frozen=True)

    expectation: str
    column: str | None
    severity: str
    why: str
    unexpected: int | None
    found: str | None
    examples: tuple[dict[str, Any], ...]


class ValidationResult(BaseModel):
    """The result of validating a table with a suite."""

    model_config = ConfigDict(frozen=True)

    suite: str
    rows: int
    expectations: int
    passed: bool
    failures: tuple[Failure, ...]
    warnings: tuple[Failure, ...]

    def message(self) -> str:
        """The result as text: what was expected, what was found, where, and what to do next."""
        if self.rows == 0:
            return f"{self.suite}: expected rows; found an empty table. Check the previous step and its input."
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
            lines.append("Correct the input named above and run again; no later step has run.")
        return "\n".join(lines)
