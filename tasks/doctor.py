"""Checks of the machine and of the services that a run needs, each with a next step; they change nothing that is kept."""

import platform
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, metadata, requires, version
from pathlib import Path
from typing import Literal, NamedTuple

import torch
from huggingface_hub import try_to_load_from_cache
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from prefect.client.orchestration import get_client
from prefect.settings import get_current_settings

from models.bfloat16 import bfloat16_is_fast
from models.encoders.text_encoders import ENCODERS, find_encoder
from models.errors import EncoderError
from storage.artifacts.object_stores import open_store
from storage.errors import MarqueeError
from storage.files import fsync_path, locked
from storage.home import home
from storage.machine import free_memory, usable_cores
from tasks.dask_cluster import dask_client

GIB = 1 << 30
INSTALL = f"Install with: pip install -c constraints/python{sys.version_info[0]}.{sys.version_info[1]}.txt -e ."
Status = Literal["ok", "warn", "fail"]


class CheckResult(NamedTuple):
    """What one check found."""

    status: Status
    found: str
    next_step: str = ""


def examine(
    encoder: str = "minilm", scheduler: str | None = None, source: str | None = None, to: str | None = None
) -> Iterator[tuple[str, CheckResult]]:
    """Check versions, hardware, work directory, encoder, Prefect and, if they are given, Dask and object stores.

    Args:
        encoder: the text encoder that has to be here.
        scheduler: the address of a Dask scheduler.
        source: an object store that is to be read.
        to: an object store that is to be published to; its probe key is written.

    Yields: each check's name and finding; an unexpected error of a check is a finding, too.
    """
    checks: dict[str, Callable[[], CheckResult]] = {
        "packages": packages,
        "python": python,
        "cpu": cpu,
        "gpu": gpu,
        "memory": memory,
        "disk": disk,
        "work directory": work_directory,
        "text encoder": lambda: text_encoder(encoder),
        "prefect server": prefect_server,
    }
    if scheduler is not None:
        checks["dask scheduler"] = lambda: dask_scheduler(scheduler)
    if source is not None:
        checks["read published"] = lambda: readable_store(source)
    if to is not None:
        checks["publish"] = lambda: writable_store(to)
    for name, check in checks.items():
        try:
            yield name, check()
        except MarqueeError as error:
            found, _, advice = str(error).rpartition(". ")  # the last sentence of these errors is the next step
            yield name, CheckResult("fail", found or advice, advice)
        except Exception as error:  # a broken machine may break any check, and the others still help
            yield name, CheckResult("fail", f"{type(error).__name__} in this check", INSTALL)


def packages() -> CheckResult:
    """Whether the installed packages are in the ranges that Marquee declares."""
    wrong = []
    needed = [Requirement(text) for text in requires("marquee") or []]
    needed = [one for one in needed if one.marker is None or one.marker.evaluate({"extra": ""})]
    for one in needed:
        try:
            if not one.specifier.contains(version(one.name), prereleases=True):
                wrong.append(f"{one.name} {version(one.name)} (expected {one.specifier})")
        except PackageNotFoundError:
            wrong.append(f"{one.name} (missing)")
    if wrong:
        return CheckResult("fail", ", ".join(wrong), INSTALL)
    return CheckResult("ok", f"marquee {version('marquee')}, {len(needed)} packages in their ranges")


def python() -> CheckResult:
    """Whether this Python is supported."""
    supported = SpecifierSet(metadata("marquee")["Requires-Python"] or "")
    found = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    if not supported.contains(platform.python_version(), prereleases=True):
        return CheckResult("fail", found, f"Use Python {supported}.")
    return CheckResult("ok", found)


def cpu() -> CheckResult:
    """The number of cores that this process may use, and whether they multiply bfloat16 natively."""
    cores = usable_cores()
    fast = "native" if bfloat16_is_fast("cpu") else "emulated, so float32 is used"
    return CheckResult("ok", f"{cores} cores; bfloat16 is {fast}")


def gpu() -> CheckResult:
    """The GPUs that torch can use."""
    if torch.cuda.is_available():
        names = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
        fast = "with" if bfloat16_is_fast("cuda") else "without"
        return CheckResult("ok", f"{', '.join(names)}; {fast} bfloat16")
    if Path("/dev/nvidia0").exists():
        return CheckResult(
            "warn",
            f"a GPU that torch {torch.__version__} does not see",
            "Install torch's CUDA build: docs/operations.md, “GPU”.",
        )
    return CheckResult("ok", "none; the CPU is used")


def memory() -> CheckResult:
    """Memory that is available, within the limit of the container."""
    return _room(free_memory(), warn=4, fail=1, next_step="Stop other programs, or use a larger machine.")


def disk() -> CheckResult:
    """Room on the disk of the work directory."""
    free = shutil.disk_usage(_nearest(home())).free
    return _room(free, warn=5, fail=1, next_step="Free some space, or set MARQUEE_HOME to a larger disk.")


def work_directory() -> CheckResult:
    """Whether this user can write, flush and lock files where the work directory is or will be."""
    place = _nearest(home())
    try:
        with tempfile.TemporaryDirectory(prefix=".marquee-doctor-", dir=place) as folder:
            path = Path(folder) / "file"
            with locked(Path(folder) / "lock"):
                path.write_bytes(b"1")
                fsync_path(path)
                path.rename(path.with_name("renamed"))
    except OSError as error:
        return CheckResult(
            "fail",
            f"{home()}: {error.strerror}",
            "Set MARQUEE_HOME to a folder that this user can write, on a file system with locks.",
        )
    return CheckResult("ok", str(home()))


def text_encoder(name: str) -> CheckResult:
    """Whether the encoder loads and encodes without the internet."""
    is_local = name in ENCODERS or Path(name).exists()
    if not is_local and not isinstance(try_to_load_from_cache(name, "model.safetensors"), str):
        return CheckResult(
            "warn",
            f"{name} is not here and would be downloaded",
            "Run once with internet, or use the offline encoder: minilm.",
        )
    try:
        width = find_encoder(name).load(16, "float32").encode(["A movie."]).shape[1]
    except EncoderError as error:
        return CheckResult("fail", f"{name} does not load", str(error))
    return CheckResult("ok", f"{name}, {width} dimensions, needs no internet")


def prefect_server() -> CheckResult:
    """Whether the configured server answers, and has a version that this client can use."""
    url = get_current_settings().api.url
    if url is None:
        return CheckResult("ok", "none is configured; each command starts a temporary one")
    shown = _without_credentials(url)
    advice = "Start it with: prefect server start. Or unset PREFECT_API_URL."
    try:
        with get_client(sync_client=True) as client:
            error = client.api_healthcheck()
            if error is None:
                return CheckResult("ok", f"{shown}, version {client.api_version()}")
    except Exception as raised:  # versions that do not fit, and any error of HTTP
        error = raised
    return CheckResult("fail", f"{shown}: {type(error).__name__}", advice)


def dask_scheduler(address: str) -> CheckResult:
    """Whether the scheduler answers, and has workers."""
    with dask_client(address) as client:
        workers = len(client.scheduler_info(n_workers=-1)["workers"])
    if not workers:
        return CheckResult("warn", f"{address} without workers", f"Start some: dask worker {address}")
    return CheckResult("ok", f"{address}, {workers} workers")


def readable_store(uri: str) -> CheckResult:
    """Whether the published artifacts can be listed."""
    store = open_store(uri)
    aliases = store.keys("aliases/")
    return CheckResult("ok", f"{store.uri}, {len(aliases)} aliases")


def writable_store(uri: str) -> CheckResult:
    """Whether artifacts can be published: for an S3 server, whether it honours conditional writes."""
    store = open_store(uri)
    return CheckResult("ok", f"{store.uri}: {store.probe()}")


def _room(free: int, warn: int, fail: int, next_step: str) -> CheckResult:
    found = f"{free / GIB:.1f} GiB free"
    if free >= warn * GIB:
        return CheckResult("ok", found)
    status: Status = "warn" if free >= fail * GIB else "fail"
    return CheckResult(status, found, f"{next_step} Expected {warn} GiB or more.")


def _nearest(folder: Path) -> Path:
    """The folder, or the nearest one above it that exists."""
    return next(place for place in (folder, *folder.parents) if place.is_dir())


def _without_credentials(url: str) -> str:
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}".partition("?")[0]
