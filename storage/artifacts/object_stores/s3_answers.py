"""Answers of an S3 server that are no success: typed errors, which tell no secret."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from boto3.exceptions import S3UploadFailedError
from boto3.session import Session
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionError,
    CredentialRetrievalError,
    IncompleteReadError,
    NoCredentialsError,
    PartialCredentialsError,
    ReadTimeoutError,
    ResponseStreamingError,
)
from botocore.parsers import ResponseParserError

from storage.errors import ObjectStoreCredentialsError, ObjectStoreError

ABSENT = ("NoSuchKey", "404")
DENIED = {
    "403", "401", "AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken",
    "AuthorizationHeaderMalformed",
}  # fmt: skip
# boto3 tries requests again, but not once the body of an answer has begun.
BROKEN_BODY = (IncompleteReadError, ReadTimeoutError, ResponseStreamingError)
PAGE_BYTES = 4096
EXCERPT_LETTERS = 160
LONG_WORD = r"\S{25,}"  # may be a signature or a token


def code_of(error: ClientError) -> str:
    """S3's name of an error, or the HTTP status if the answer has none."""
    return str(error.response.get("Error", {}).get("Code") or status_of(error))


def status_of(error: ClientError) -> int:
    """The HTTP status of an answer."""
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def keep_page(response_dict: dict[str, Any], customized_response_dict: dict[str, Any], **_: object) -> None:
    """Keep the beginning of an answer that is a web page, or an error not in S3's format (boto3's event before-parse)."""
    body = response_dict["body"]
    if not isinstance(body, bytes) or not body:
        return
    is_page = body.lstrip()[:15].lower().startswith((b"<!doctype html", b"<html"))
    if is_page or (response_dict["status_code"] >= 300 and b"<Code>" not in body):
        customized_response_dict["Page"] = body[:PAGE_BYTES]


def excerpt(page: bytes, session: Session) -> str:
    """The first words of a web page, without markup, long words and the session's credentials."""
    text = page.decode("utf-8", "replace")
    try:
        credentials = session.get_credentials()
    except BotoCoreError:
        credentials = None
    for secret in (credentials.access_key, credentials.secret_key, credentials.token) if credentials else ():
        text = text.replace(secret or "\0", "…")
    text = re.sub(r"(?is)<(script|style)\b.*?</\1>|<[^>]*>?", " ", text)
    return " ".join(re.sub(LONG_WORD, "…", text).split())[:EXCERPT_LETTERS]


def not_s3(where: str, page: bytes, session: Session) -> ObjectStoreError:
    """The error for a success that no S3 server sends."""
    words = excerpt(page, session)
    return ObjectStoreError(
        f"{where}: expected the answer of an S3 server; found {repr(words) if words else 'another one'}. "
        "Check AWS_ENDPOINT_URL and proxies."
    )


@contextmanager
def translating(uri: str, key: str, session: Session) -> Iterator[None]:
    """Turn boto3's errors into ours, without keys, secrets and signed headers in their messages.

    Args:
        uri: of the bucket and prefix.
        key: that the request is about.
        session: whose credentials an excerpt of a web page must not contain.

    Raises:
        ObjectStoreCredentialsError: there are no credentials, or the store rejected them.
        ObjectStoreError: any other error of boto3.
    """
    where = f"{uri}/{key}"
    try:
        yield
    except (NoCredentialsError, PartialCredentialsError, CredentialRetrievalError):
        raise ObjectStoreCredentialsError(
            f"{uri}: expected S3 credentials; found none. Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY."
        ) from None
    except ClientError as error:
        code = code_of(error)
        page = error.response.get("Page")
        answered = f"{code}: {excerpt(page, session)!r}" if page else code
        if code in DENIED:
            raise ObjectStoreCredentialsError(
                f"{where}: expected credentials that may use this bucket; the store answered {answered}. "
                "Check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and the bucket's policy."
            ) from None
        advice = "Create the bucket, or correct the URI." if code == "NoSuchBucket" else "Run again later."
        raise ObjectStoreError(f"{where}: expected an answer; the store answered {answered}. {advice}") from None
    except ResponseParserError as error:
        page = str(error).partition("Further retries may succeed:")[2].encode()
        raise not_s3(where, page, session) from None
    except BROKEN_BODY as error:
        raise ObjectStoreError(
            f"{where}: expected the whole object; the connection broke ({type(error).__name__}). "
            "Run again: the bytes that were received are kept."
        ) from None
    except S3UploadFailedError as error:
        answered = excerpt(str(error).rpartition("An error occurred")[2].encode(), session)
        raise ObjectStoreError(f"{where}: expected to upload the file; found {answered!r}. Run again.") from None
    except ConnectionError as error:
        raise ObjectStoreError(
            f"{uri}: expected an S3 endpoint that answers; found {type(error).__name__}. Check AWS_ENDPOINT_URL."
        ) from None
    except (BotoCoreError, ValueError) as error:
        raise ObjectStoreError(f"{where}: {type(error).__name__}. Check AWS_ENDPOINT_URL and region.") from None
