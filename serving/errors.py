"""Errors of recommendations; the HTTP API answers them with a status of 4xx."""

from storage.errors import MarqueeError


class RequestError(MarqueeError):
    """What was asked for cannot be answered; `code` names the reason for programs."""

    code = "invalid_request"


class UnknownMethodError(RequestError):
    """No policy or baseline of that name is loaded."""

    code = "unknown_method"


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
