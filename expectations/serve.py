"""What runs in the judge's process: `python -m expectations.serve` reads requests from stdin until that is closed."""

import importlib
import os
import sys

import pandas as pd
import pyarrow as pa
from pydantic import validate_call

from expectations.judge_process import Answer, Request


def main() -> None:
    """Answer requests on what was stdout at first; later prints of libraries go to stderr instead."""
    with os.fdopen(os.dup(1), "w") as answers:
        os.dup2(2, 1)
        importlib.import_module("expectations.judge")  # takes seconds, which pass before the first request comes
        while line := sys.stdin.buffer.readline():
            request = Request.model_validate_json(line)
            frame = pa.ipc.open_stream(sys.stdin.buffer.read(request.frame_bytes)).read_pandas()
            print(answer_to(request, frame).model_dump_json(), file=answers, flush=True)


def answer_to(request: Request, frame: pd.DataFrame) -> Answer:
    """Judge one frame."""
    from expectations.judge import judge  # noqa: PLC0415  after the outputs are apart

    suite = importlib.import_module(request.suite)
    expected = validate_call(getattr(suite, f"{request.suite.rpartition('.')[2]}_suite"))
    try:
        return Answer(verdict=judge(frame, expected(**request.parameters), request.folder, suite.IDENTIFY))
    except OSError as error:
        return Answer(error=str(error.strerror or error), errno=error.errno)
    except Exception as error:
        return Answer(error=f"{type(error).__name__}: {error}.")


if __name__ == "__main__":
    main()
