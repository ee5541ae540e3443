"""The crawl as a Prefect task against a real Prefect server and a replayed TMDB and OMDb."""

import json
import os
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from integration.crawl_support import OMDB_KEY, TOKEN, catalogue, title
from integration.replay_server import OMDB_ABSENT, Step, serving
from tests_support import REPOSITORY

from storage.artifacts.store import ArtifactRef, ArtifactStore
from storage.tables import SOURCE_SCHEMA

FLOW = """
import sys
import pyarrow as pa
import pyarrow.parquet as pq
from prefect import flow
from storage.artifacts.store import Draft
from storage.errors import MarqueeError
from storage.tables import IDENTITY_SCHEMA
from tasks.caching import artifact_task
from tasks.crawl import crawl_services
from storage.sources.web.services import WebServices

@artifact_task("identity")
def make_identity(draft: Draft) -> None:
    rows = [{"movie_id": movie, "tmdb_id": movie, "imdb_id": f"tt{movie:07}"} for movie in range(1, 41)]
    pq.write_table(pa.Table.from_pylist(rows, schema=IDENTITY_SCHEMA), draft.path / "catalogue.parquet")

@flow(name="crawl")
def main(tmdb, omdb, offline):
    identity = make_identity()
    services = {"tmdb_api": {"enabled": True, "base_url": tmdb, "offline": offline}}
    if omdb:
        services["omdb_api"] = {"enabled": True, "base_url": omdb, "requests_per_second": 50}
    for table in crawl_services(identity, WebServices(**services)).values():
        print(table.model_dump_json())

if __name__ == "__main__":
    try:
        main(sys.argv[1], sys.argv[2], bool(sys.argv[3:]))
    except MarqueeError as error:
        sys.exit(f"{type(error).__name__}: {error}")
"""


def artifacts_of(env: dict[str, str], key: str) -> dict[str, Any]:
    url = f"{env['PREFECT_API_URL']}/artifacts/{key}/latest"
    with urllib.request.urlopen(url, timeout=60) as answer:  # noqa: S310
        return json.load(answer)  # type: ignore[no-any-return]


@pytest.mark.timeout(300)
def test_tables_are_crawled_once_shown_and_keep_the_keys_secret(prefect_env: dict[str, str], tmp_path: Path) -> None:
    script, home = tmp_path / "flow.py", tmp_path / "home"
    script.write_text(FLOW)
    env = prefect_env | {"MARQUEE_HOME": str(home), "PYTHONPATH": str(REPOSITORY), "PREFECT_LOGGING_LEVEL": "DEBUG"}

    def run(*arguments: str, ok: bool = True, **keys: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(script), *arguments]
        done = subprocess.run(command, env=env | keys, capture_output=True, text=True, check=False, timeout=600)
        assert (done.returncode == 0) == ok, done.stdout + done.stderr
        return done

    keys = {"TMDB_API_TOKEN": TOKEN, "OMDB_API_KEY": OMDB_KEY}
    titles = {f"tt{movie:07}": title(f"tt{movie:07}", imdbRating="7.5") for movie in range(1, 40)}
    with serving(catalogue(*range(1, 40))) as tmdb, serving(titles, Step(200, OMDB_ABSENT)) as omdb:
        tmdb_url = tmdb.url + "/3"
        done = run(tmdb_url, "", ok=False)
        assert "MetadataCredentialsError: TMDB_API_TOKEN: expected a key" in done.stderr
        assert not tmdb.log
        done = run(tmdb_url, omdb.url, **keys)
        refs = [ArtifactRef.model_validate_json(line) for line in done.stdout.splitlines() if line.startswith("{")]
        asked = len(tmdb.log), len(omdb.log)
        assert asked == (39 + 2, 40)  # the absent one is looked for by its IMDb id too
        done = run(tmdb_url, omdb.url, **keys)
        assert [line for line in done.stdout.splitlines() if line.startswith("{")] == [
            r.model_dump_json() for r in refs
        ]
        done = run(tmdb_url, "", "offline")  # needs no key
        assert (len(tmdb.log), len(omdb.log)) == asked

    store = ArtifactStore(home / "artifacts")
    for ref, licence in zip(refs, ("TMDB", "OMDb"), strict=True):
        table = pq.read_table(store.open(ref) / "metadata.parquet")
        assert table.schema.equals(SOURCE_SCHEMA)
        assert table.num_rows == ref.rows == 39
        manifest = store.manifest(ref)
        assert (manifest.facts["fetched"], manifest.facts["absent"], manifest.facts["failed"]) == (39, 1, 0)
        assert manifest.facts["oldest_fetch"] < manifest.facts["reused_until"] < manifest.facts["expires"]
        assert any(licence in note for note in manifest.licences)
    bar = artifacts_of(env, "tmdb-crawl")
    assert bar["data"] == 100.0
    assert "TMDB: 40 of 40 movies, about 0:00:00 left." in bar["description"]
    assert "oldest_fetch" in artifacts_of(env, "omdb-responses")["data"]
    for folder in (home, Path(env["PREFECT_HOME"])):
        for path in folder.rglob("*"):
            data = path.read_bytes() if path.is_file() else b""
            assert TOKEN.encode() not in data, path
            assert OMDB_KEY.encode() not in data, path
    assert TOKEN not in done.stdout + done.stderr


@pytest.mark.timeout(120)
def test_the_token_may_stand_in_a_secret_block(prefect_env: dict[str, str], tmp_path: Path) -> None:
    script = tmp_path / "flow.py"
    script.write_text(FLOW)
    env = prefect_env | {"MARQUEE_HOME": str(tmp_path / "home"), "PYTHONPATH": str(REPOSITORY)}
    block = f"from prefect.blocks.system import Secret; Secret(value={TOKEN!r}).save('tmdb-api-token')"
    subprocess.run([sys.executable, "-c", block], env=env, check=True, timeout=600)
    try:
        with serving(catalogue(*range(1, 41))) as tmdb:
            subprocess.run([sys.executable, str(script), tmdb.url + "/3", ""], env=env, check=True, timeout=600)
        assert all(asked.headers["Authorization"] == f"Bearer {TOKEN}" for asked in tmdb.log)
    finally:
        remove = "from prefect.blocks.system import Secret; Secret.delete('tmdb-api-token')"
        subprocess.run([sys.executable, "-c", remove], env=env, check=True, timeout=600)
    assert os.environ.get("TMDB_API_TOKEN") is None
