"""The probe of a store whose ETag changes with every write, as with encrypted objects, while other processes write too."""

import pytest

from storage.artifacts.object_stores.s3_probe import TRIES, probe
from storage.errors import ObjectStoreError, UnsupportedObjectStoreError


class Versioned:
    """One object with a new ETag for every write.

    Args:
        others: how many of our conditional writes come after the write of another process.
        refused: refuse the right ETag.
    """

    uri = "s3://bucket"

    def __init__(self, others: int = 0, refused: bool = False) -> None:
        self.version, self.others, self.refused = 0, others, refused

    def get(self, key: str) -> tuple[bytes, str] | None:
        return (b"", str(self.version)) if self.version else None

    def put(self, key: str, data: bytes, **condition: str) -> bool:
        if "IfNoneMatch" in condition:
            holds = not self.version
        elif self.others and condition["IfMatch"] == str(self.version):
            self.others, self.version, holds = self.others - 1, self.version + 1, False
        else:
            holds = condition["IfMatch"] == str(self.version) and not self.refused
        self.version += holds
        return holds

    def refuses(self, key: str, data: bytes, sha256: str) -> bool:
        return True


def test_writes_of_other_processes_do_not_make_a_store_unsupported() -> None:
    assert probe(Versioned(others=TRIES - 2))


def test_a_store_that_others_write_to_all_the_time_is_asked_again_later() -> None:
    with pytest.raises(ObjectStoreError, match=rf"{TRIES} tries gave no definite answer. Run again later") as unclear:
        probe(Versioned(others=TRIES))
    assert not isinstance(unclear.value, UnsupportedObjectStoreError)


def test_a_store_that_refuses_the_right_etag_is_unsupported() -> None:
    with pytest.raises(UnsupportedObjectStoreError, match="refuses the right ETag"):
        probe(Versioned(refused=True))
