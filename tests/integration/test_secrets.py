"""A secret in every place where credentials may stand is in no output, log, record, artifact, manifest or published object."""

import base64
import secrets
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from botocore.config import Config
from integration.conftest import Endpoint
from integration.test_new_data import later_release
from tests_support import Marquee, SmallRun, changes, values_of

CREDENTIALS = (
    "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "TMDB_API_TOKEN", "OMDB_API_KEY", "PREFECT_API_KEY", "HF_TOKEN",
    "MARQUEE_MILVUS_TOKEN",
)  # fmt: skip


@pytest.fixture
def planted(moto: Endpoint, nobody: str) -> dict[str, str]:
    """An environment with a different secret in every credential, and in the addresses of a proxy and of an endpoint."""
    found = {name: f"canary{secrets.token_hex(12)}" for name in CREDENTIALS}
    in_proxy, in_auth = (f"canary{secrets.token_hex(12)}" for _ in range(2))
    return found | {
        "AWS_ENDPOINT_URL": moto.url,
        "AWS_ACCESS_KEY_ID": moto.access_key,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_CONFIG_FILE": "/dev/null",
        "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
        "AWS_EC2_METADATA_DISABLED": "true",
        "HTTPS_PROXY": nobody.replace("//", f"//user:{in_proxy}@"),
        "NO_PROXY": "127.0.0.1,localhost",
        "PREFECT_API_AUTH_STRING": f"user:{in_auth}",
    }


def forms(planted: dict[str, str]) -> list[bytes]:
    """Every secret, as it is and in base64, as the header of a password has it."""
    found = [planted[name] for name in CREDENTIALS]
    found += [planted["HTTPS_PROXY"].split(":")[2].split("@")[0], planted["PREFECT_API_AUTH_STRING"].split(":")[1]]
    assert len(set(found)) == len(CREDENTIALS) + 2
    coded = base64.b64encode(planted["PREFECT_API_AUTH_STRING"].encode())
    return [*(secret.encode() for secret in found), coded]


def files_below(*folders: Path) -> Iterator[Path]:
    for folder in folders:
        yield from (path for path in folder.rglob("*") if path.is_file())


@pytest.mark.timeout(850)
def test_no_flow_tells_a_secret(
    planted: dict[str, str],
    small_run: SmallRun,
    small_home: Path,
    marquee: Marquee,
    prefect_env: dict[str, str],
    nobody: str,
    tmp_path: Path,
) -> None:
    said = []

    def run(*arguments: str, ok: bool = True, **more: str) -> str:
        done = marquee(*arguments, ok=ok, **(planted | more))
        said.append(done.stdout + done.stderr)
        return done.stdout

    bucket = f"canary-{secrets.token_hex(4)}"
    client = boto3.Session().client(
        "s3",
        endpoint_url=planted["AWS_ENDPOINT_URL"],
        aws_access_key_id="x",
        aws_secret_access_key="y",
        region_name="us-east-1",
        config=Config(response_checksum_validation="when_required"),  # moto states the wrong checksum of the probe
    )
    client.create_bucket(Bucket=bucket)
    uri = f"s3://{bucket}/prefix"
    later = later_release(small_home, tmp_path / "later")

    # `retrain` runs all flows but one. Then what fails: no such bucket, no such server, no such host behind the proxy.
    published = values_of(run("retrain", "--to", uri, *changes()))["PUBLISHED"]
    assert published == uri
    run("extend-dataset", "--data", str(later), *changes())
    run("pull", "policy@champion", "--from", uri, "--to", str(tmp_path / "pulled"))
    run("publish", "--to", f"s3://{bucket}-absent/prefix", *changes(), ok=False)
    run("publish", "--to", uri, *changes(), ok=False, AWS_ENDPOINT_URL=nobody)
    run(
        "pull",
        "policy@latest",
        "--from",
        uri,
        "--to",
        str(tmp_path / "x"),
        ok=False,
        AWS_ENDPOINT_URL="https://s3.invalid",
    )
    changed = {"source__tmdb_api": f"{{enabled: true, base_url: '{nobody}', max_failed_share: 0}}"}
    run("build-dataset", *changes(**changed), ok=False)
    run("build-dataset", *changes(source__omdb_api="{enabled: true}"), ok=False)  # through the proxy

    objects = client.list_objects_v2(Bucket=bucket)["Contents"]
    assert len(objects) > 10
    bodies = {one["Key"]: client.get_object(Bucket=bucket, Key=one["Key"])["Body"].read() for one in objects}
    places = {f"output {number}": text.encode() for number, text in enumerate(said)} | bodies
    server = Path(prefect_env["PREFECT_HOME"])
    places |= {str(path): path.read_bytes() for path in files_below(small_home, tmp_path / "pulled", server)}
    assert any(bucket.encode() in data for name, data in places.items() if name.startswith(str(server))), (
        "nothing was searched"
    )
    for secret in forms(planted):
        assert not [name for name, data in places.items() if secret in data], secret
