"""What `marquee doctor` finds on a machine and in services that are not as they should be."""

import shutil
import sys
from pathlib import Path

import pytest
from distributed import LocalCluster
from prefect.settings import PREFECT_API_URL, temporary_settings

import tasks.doctor
from tasks.doctor import (
    GIB,
    CheckResult,
    dask_scheduler,
    disk,
    examine,
    packages,
    prefect_server,
    python,
    text_encoder,
    work_directory,
)


@pytest.fixture(autouse=True)
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MARQUEE_HOME", str(tmp_path / "home" / "that is not made"))


def test_this_machine_can_run_what_these_tests_run(tmp_path: Path) -> None:
    found = dict(examine(to=str(tmp_path / "published")))
    for check in ("packages", "python", "cpu", "gpu", "work directory", "text encoder", "publish"):
        assert found[check].status == "ok", found[check]
    assert "dask scheduler" not in found
    assert not (tmp_path / "home").exists()
    assert list((tmp_path / "published").iterdir()) == []


def test_packages_out_of_range_and_missing_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    needed = ["numpy>=99", "no-such-package", "pytest>=999; extra == 'dev'", "pandas"]
    monkeypatch.setattr(tasks.doctor, "requires", lambda _: needed)
    found = packages()
    assert found.status == "fail"
    assert found.found.startswith("numpy 2.")
    assert found.found.endswith("(expected >=99), no-such-package (missing)")
    assert f"constraints/python{sys.version_info[0]}.{sys.version_info[1]}.txt" in found.next_step


def test_another_python_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.python_version", lambda: "3.10.4")
    assert python().status == "fail"


@pytest.mark.parametrize(("free", "status"), [(5 * GIB, "ok"), (5 * GIB - 1, "warn"), (GIB, "warn"), (GIB - 1, "fail")])
def test_a_full_disk_is_told_before_it_stops_a_run(monkeypatch: pytest.MonkeyPatch, free: int, status: str) -> None:
    usage = shutil.disk_usage("/")
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage._replace(free=free))
    found = disk()
    assert found.status == status
    assert bool(found.next_step) == (status != "ok")


def test_a_work_directory_that_cannot_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MARQUEE_HOME", "/proc/marquee")
    found = work_directory()
    assert (found.status, found.found[:15]) == ("fail", "/proc/marquee: ")
    assert "MARQUEE_HOME" in found.next_step


def test_an_encoder_that_is_not_here(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert text_encoder(str(tmp_path / "empty")).status == "fail"
    found = text_encoder("nobody/no-such-model")
    assert found.status == "warn"
    assert "minilm" in found.next_step


def test_a_prefect_server_that_does_not_answer_and_no_password_of_it(nobody: str) -> None:
    with temporary_settings({PREFECT_API_URL: nobody.replace("://", "://user:hunter2@") + "/api"}):
        found = prefect_server()
    assert found.status == "fail"
    assert nobody in found.found
    assert "hunter2" not in str(found)


def test_a_dask_scheduler() -> None:
    assert dict(examine(scheduler="nonsense://x"))["dask scheduler"].status == "fail"
    with LocalCluster(n_workers=0, processes=False, dashboard_address=":0") as cluster:
        assert dask_scheduler(cluster.scheduler_address).status == "warn"
        cluster.scale(1)
        cluster.wait_for_workers(1)
        assert dask_scheduler(cluster.scheduler_address).found.endswith(", 1 workers")


def test_an_unexpected_error_of_one_check_leaves_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> CheckResult:
        raise RuntimeError("secret text")

    monkeypatch.setattr(tasks.doctor, "python", broken)
    found = dict(examine())
    assert found["python"].status == "fail"
    assert "secret text" not in str(found["python"])
    assert found["packages"].status == "ok"


@pytest.mark.parametrize(("act", "check"), [("source", "read published"), ("to", "publish")])
def test_an_object_store_that_cannot_be_used(act: str, check: str) -> None:
    found = dict(examine(**{act: "s3://KEY:hunter2@bucket/x"}))[check]
    assert found.status == "fail"
    assert "hunter2" not in str(found)
    assert found.next_step == "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY."
