"""`marquee doctor` with a Prefect server and object stores that answer."""

import os

import pytest

from tasks.doctor import examine


@pytest.mark.usefixtures("prefect_here")
def test_servers_that_answer(s3: tuple[object, str]) -> None:
    found = dict(examine(source=s3[1], to=s3[1]))
    assert found["prefect server"].status == "ok", found["prefect server"]
    assert ", version 3." in found["prefect server"].found
    assert found["read published"].found == f"{s3[1]}, 0 aliases"
    assert found["publish"].found.startswith(f"{s3[1]}: honours conditional writes; ")
    assert os.environ["AWS_SECRET_ACCESS_KEY"] not in str(found)
    assert os.environ["AWS_ACCESS_KEY_ID"] not in str(found)
