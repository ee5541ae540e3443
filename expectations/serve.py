"""What runs in the judge's process: `python -m expectations.serve FD` answers on FD to requests on stdin, until that is closed."""

import importlib
import os
import sys

import pandas as pd
import pyarrow as pa
from pydantic import validate_call

from expectations.judge import judge
from expectations.judge_process import Answer, Request


def main() -> None:
    """Answer one request after the other."""
    with os.fdopen(int(sys.argv[1]), "w") as answers:
        while line := sys.stdin.buffer.readline():
            request = Request.model_validate_json(line)
            frame = pa.ipc.open_stream(sys.stdin.buffer.read(request.frame_bytes)).read_pandas()
            print(answer_to(request, frame).model_dump_json(), file=answers, flush=True)


def answer_to(request: Request, frame: pd.DataFrame) -> Answer:
    """Judge one frame."""
    suite = importlib.import_module(request.suite)
    expected = validate_call(getattr(suite, f"{request.suite.rpartition('.')[2]}_suite"))
    try:
        return Answer(verdict=judge(frame, expected(**request.parameters), request.folder, suite.IDENTIFY))
    except OSError as error:
        return Answer(error=str(error.strerror or error), errno=error.errno)
    except Exception as error:  # the one who asked is told, and may ask again
        return Answer(error=f"{type(error).__name__}: {error}.")


if __name__ == "__main__":
    main()
