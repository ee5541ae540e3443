"""Typed errors of everything that touches bytes; each says what was expected, what was found and what to do next."""

from datetime import datetime


class MarqueeError(Exception):
    """Root of the errors a user of Marquee is meant to read; the command line prints them without a traceback."""


class SourceError(MarqueeError):
    """A raw input file is missing, is not what its name says, or holds nothing."""


class RatingsSchemaError(SourceError):
    """A ratings table lacks a column that is needed, or has it under another name."""


class RatingsValueError(SourceError):
    """A rating row holds a value outside its domain; names file, line and value."""


class MetadataError(SourceError):
    """A metadata export cannot be read or is in no known dialect."""


class ArchiveError(SourceError):
    """An archive is damaged, is no release, or holds what must not be unpacked."""


class DownloadError(SourceError):
    """A release could not be fetched, or what came is not what was published."""


class MetadataCredentialsError(MetadataError):
    """A metadata service rejected the credentials, or none were found."""


class MetadataQuotaError(MetadataError):
    """A metadata service answers no more for now; what it answered is cached, `retry_at` says when to go on."""

    def __init__(self, message: str, retry_at: datetime) -> None:
        super().__init__(message)
        self.retry_at = retry_at


class MetadataUnavailableError(MetadataError):
    """A metadata service left more questions unanswered than may be; what it answered is cached."""


class DatasetError(MarqueeError):
    """A transition dataset cannot be made from its inputs, or a file is not a whole transition dataset."""


class ArtifactError(MarqueeError):
    """An artifact is absent where it is needed."""


class ArtifactDamagedError(ArtifactError):
    """An artifact's bytes are not the ones its manifest names."""


class ArtifactConflictError(ArtifactError):
    """Another artifact with the same digest but different content stands in the place to be written."""


class CheckpointError(MarqueeError):
    """A checkpoint cannot be used for this run."""


class StorageFullError(MarqueeError):
    """The disk, quota or file-size limit was reached while writing; what was there before is untouched."""


class StorageUnwritableError(MarqueeError):
    """The output folder cannot be written."""


class ObjectStoreError(MarqueeError):
    """The object store refused or did not answer."""


class ObjectStoreCredentialsError(ObjectStoreError):
    """The object store rejected the credentials, or none were found."""


class UnsupportedObjectStoreError(ObjectStoreError):
    """The object store ignores conditional writes, so immutability and aliases cannot be kept there."""


class UnknownAliasError(ObjectStoreError):
    """No alias or digest of that name is published."""


class AliasMovedError(ObjectStoreError):
    """Someone else moved the alias between our reading and our writing it."""
