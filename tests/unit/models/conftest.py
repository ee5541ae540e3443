from collections.abc import Iterator

import pytest

from models import threads


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Networks this small are learnt faster by one thread, and many times so where cores are shared."""
    with threads.one_thread():
        yield
