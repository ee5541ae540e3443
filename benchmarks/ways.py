"""The ways from ratings.csv to a dataset that the ingest and growth benchmarks compare, one per process.

    python benchmarks/ways.py pandas|dataset|gates|events FOLDER OUT

FOLDER is a release written by shape.py. Prints a line of counts. Each way imports what it needs, so that imports are measured.
"""
# ruff: noqa: PLC0415

import resource
import sys
from pathlib import Path
from typing import Any

FRAME, DIM, TIME_QUANTILE = 10, 128, 0.9


def pandas_way(folder: Path, out: Path) -> str:
    """The steps of RecNN's preprocessing: two maps in Python, a sort, groupby-apply, rolling windows per user.

    It checks nothing. The histories are stored in HDF5 in one piece; one piece per user would take minutes more.
    """
    import h5py
    import numpy as np
    import pandas as pd

    movies = pd.read_csv(folder / "movies.csv")["movieId"]
    item_of = {movie: place for place, movie in enumerate(sorted(movies))}
    frame = pd.read_csv(folder / "ratings.csv")
    frame["movieId"] = frame["movieId"].map(item_of.get)
    frame["rating"] = frame["rating"].map(lambda rating: 2 * (rating - 2.5))
    sizes = frame[["userId", "movieId"]].groupby(["userId"]).size()
    users = sizes[sizes > FRAME].sort_values(ascending=False).index
    grouped = frame.sort_values(by="timestamp").set_index("userId").drop("timestamp", axis=1).groupby("userId")
    histories = {}

    def keep(user: pd.DataFrame) -> None:
        histories[int(user.index[0])] = (user["movieId"].to_numpy(), user["rating"].to_numpy())

    grouped.apply(keep)
    transitions = 0
    for user in users:
        for column in histories[int(user)]:
            windows = np.lib.stride_tricks.sliding_window_view(column, FRAME + 1)
        transitions += len(windows)
    with h5py.File(out, "w") as file:
        for name, place in (("item", 0), ("rating", 1)):
            file[name] = np.concatenate([history[place] for history in histories.values()])
        file["offset"] = np.cumsum([0, *(len(items) for items, _ in histories.values())])
        file["embedding"] = np.random.default_rng(1).normal(size=(len(movies), DIM)).astype(np.float32)
    return f"{transitions} transitions"


def dataset_way(folder: Path, out: Path) -> str:
    """CSV → checked, sorted events → compact HDF5."""
    return f"{_dataset(folder, out)['transitions']} transitions"


def gates_way(folder: Path, out: Path) -> str:
    """The same with the Great Expectations suites of events and transitions, in the process that the flows use."""
    from expectations.validation_process import ValidationProcess

    with ValidationProcess() as process:
        process.start()  # it imports Great Expectations while the dataset is made
        import h5py

        from expectations.events import events_suite
        from expectations.profiles import profile_events, profile_transitions
        from expectations.transitions import transitions_suite
        from storage.dataset.histories import events_table
        from storage.dataset.scale import RatingScale

        scale = RatingScale()
        counts = _dataset(folder, out)
        movies, blocks = counts["movie_ids"], counts["blocks"]
        events = profile_events((events_table(block, movies, scale) for block in blocks), movies, scale, 0.0)
        with h5py.File(out) as file:
            transitions = profile_transitions(
                items=file["events/item"][...],
                codes=file["events/rating"][...],
                timestamps=file["events/timestamp"][...],
                offsets=file["users/offset"][...],
                user_ids=file["users/id"][...],
                split=file["users/split"][...],
                frame=FRAME,
            )
        results = [
            process.validate(events_suite, events, _folder(out, "events"), scale=scale, max_unknown_share=0.0),
            process.validate(
                transitions_suite, transitions, _folder(out, "transitions"), items=len(movies), scale=scale
            ),
        ]
    assert all(result.passed for result in results), [result.message() for result in results]  # noqa: S101
    process_mib = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024
    return f"{counts['transitions']} transitions, {len(results)} gates passed (the validation process: {process_mib} MiB more)"


def events_way(folder: Path, out: Path) -> str:
    """CSV → checked, sorted events in Parquet, with runs of 8 million events; bad lines are quarantined."""
    from storage.dataset.event_table import write_events
    from storage.dataset.scale import RatingScale
    from storage.sources.bad_rows import BadRows
    from storage.sources.movielens.ratings import RatingsLayout, read_ratings

    movies, scale = _movie_ids(folder), RatingScale()
    layout = RatingsLayout(folder / "ratings.csv")
    bad = BadRows("quarantine")
    facts: dict[str, Any] = {}
    histories = read_ratings(layout, scale, movies, bad, facts, run_events=1 << 23, scratch=out.parent)
    write_events(out, histories, movies, scale)
    return f"{facts['events']} events of {facts['users']} users, {len(bad.rows)} bad lines"


def _movie_ids(folder: Path) -> Any:
    import numpy as np

    with (folder / "movies.csv").open(encoding="utf-8") as lines:
        next(lines)
        return np.sort([int(line.split(",", 1)[0]) for line in lines])


def _dataset(folder: Path, out: Path) -> Any:
    """The counts of the dataset written, with movie_ids and the blocks of histories."""
    import numpy as np

    from storage.dataset.scale import RatingScale
    from storage.dataset.splits import SplitParams, split_users, time_cut
    from storage.dataset.writer import write_transitions
    from storage.sources.bad_rows import BadRows
    from storage.sources.movielens.ratings import RatingsLayout, read_ratings

    movies, scale, params = _movie_ids(folder), RatingScale(), SplitParams()
    blocks = list(read_ratings(RatingsLayout(folder / "ratings.csv"), scale, movies, BadRows(), {}))
    user_ids = np.concatenate([block.user_id for block in blocks])
    counts = write_transitions(
        out,
        blocks,
        user_ids=user_ids,
        split=split_users(user_ids, params),
        movie_ids=movies,
        embeddings=np.random.default_rng(1).normal(size=(len(movies), DIM)).astype(np.float32),
        scale=scale,
        frame=FRAME,
        time_cut=time_cut([block.timestamp for block in blocks], params),
        provenance={},
    )
    return counts | {"movie_ids": movies, "blocks": blocks}


def _folder(out: Path, name: str) -> Path:
    folder = out.with_name(f"{out.name}-{name}")
    folder.mkdir(exist_ok=True)
    return folder


WAYS = {"pandas": pandas_way, "dataset": dataset_way, "gates": gates_way, "events": events_way}

if __name__ == "__main__":
    print(WAYS[sys.argv[1]](Path(sys.argv[2]), Path(sys.argv[3])) if len(sys.argv) > 3 else __doc__)
