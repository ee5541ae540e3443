"""Errors of recommendations; the HTTP API answers them with a status of 4xx."""

from collections.abc import Sequence
from typing import Any

from storage.errors import MarqueeError


class RequestError(MarqueeError):
    """What was asked for cannot be answered; `code` names the reason for programs."""

    code = "invalid_request"


class UnknownMethodError(RequestError):
    """No policy or baseline of that name is loaded."""

    code = "unknown_method"


class UnsuitableMethodError(RequestError):
    """The method lacks what a question needs of it: an action, or critics that can re-rank."""

    code = "unsuitable_method"


class RatingError(RequestError):
    """A rating is not on the scale of the policy's ratings."""

    code = "rating_off_scale"


class UnknownItemError(RequestError):
    """The catalogue has no item of that id."""

    code = "unknown_item"


class RatingsFileError(RequestError):
    """A file of ratings cannot be read."""

    code = "ratings_file"


class MissingExtraError(MarqueeError):
    """A part of Marquee needs packages that are not installed."""


class AddressError(MarqueeError):
    """A server cannot listen on the address that it was given."""


def invalid_values(errors: Sequence[Any]) -> str:
    """Which values are not valid, and why; the first five of pydantic's errors, without the values, which may be long."""
    return "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in errors[:5])
