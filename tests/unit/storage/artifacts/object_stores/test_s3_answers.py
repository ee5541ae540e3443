"""Web pages in place of an S3 server's answers."""

import itertools
import re
from pathlib import Path

import pytest
from small_s3 import Answer, Fault, SmallS3
from unit.storage.artifacts.object_stores.s3_support import SECRETS

from storage.artifacts.object_stores.s3 import S3
from storage.errors import (
    MarqueeError,
    ObjectStoreCredentialsError,
)

PAGE = (
    f"<!DOCTYPE html><html><head><style>b {{}}</style><title>Sign in</title></head><p>Hello {SECRETS[0]} {SECRETS[1]}"
)


XHTML = "<html><body><p>Please sign in</p></body></html>"


def answers(status: int, page: str) -> Fault:
    return lambda *_: Answer(status, page.encode(), {"Content-Type": "text/html"})


@pytest.mark.parametrize("act", ["get", "head", "put", "list", "download"])
def test_a_web_page_is_a_typed_error_that_quotes_it_without_secrets(
    server: SmallS3, store: S3, tmp_path: Path, act: str
) -> None:
    acts = {
        "get": lambda: store.get("a"),
        "head": lambda: store.holds("a", 1, "0" * 64),
        "put": lambda: store.put("a", b"1"),
        "list": lambda: store.keys(""),
        "download": lambda: store.download("a", tmp_path / "a", 7),
    }
    for status, page in itertools.product((200, 403, 404, 502), (PAGE, XHTML, "please sign in", "")):
        if status == 404 and (not page or act == "head"):
            continue  # this is how a server says that there is no such key
        server.always = answers(status, page)
        with pytest.raises(MarqueeError, match=r"[Ee]xpected [^;]+; (found|the store answered) [^;.]+") as caught:
            acts[act]()
        assert isinstance(caught.value, ObjectStoreCredentialsError) == (status == 403)
        said = str(caught.value)
        assert not [secret for secret in SECRETS if secret in said]
        if page and act != "head" and (status != 200 or act != "put" or page.startswith("<")):
            assert re.search("(?i)sign in", said), (status, page, said)
