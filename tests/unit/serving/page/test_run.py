"""What ends `marquee app` before there is a page."""

import sys

import pytest
from typer.testing import CliRunner, Result

from flows.cli import app


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["app", *arguments])


def test_without_streamlit_the_command_says_what_to_install(published: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "streamlit.web", None)
    done = run("--from", published)
    assert done.exit_code == 1
    assert "MissingExtraError" in done.stderr
    assert "pip install 'marquee[app]'" in done.stderr


def test_a_port_that_is_taken_is_refused_by_name(published: str, nobody: str) -> None:
    port = nobody.rpartition(":")[2]
    done = run("--from", published, "--port", port)
    assert done.exit_code == 1
    assert f"AddressError: marquee app: expected to listen on 127.0.0.1, port {port}" in done.stderr
    assert "Address already in use" in done.stderr
