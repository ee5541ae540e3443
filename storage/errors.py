"""Typed errors of storage; each message says what was expected, what was found and what to do next."""

from datetime import datetime


class MarqueeError(Exception):
    """Base of the errors that a user can act on; the command line prints them without a traceback."""


class SourceError(MarqueeError):
    """A raw input file is missing, is empty or is not what its name says."""


class RatingsSchemaError(SourceError):
    """A ratings table lacks a needed column or has it under another name."""


class RatingsValueError(SourceError):
    """A rating row has a value outside its domain; the message names file, line and value."""


class MetadataError(SourceError):
    """A metadata file cannot be read or is in no known dialect."""


class ArchiveError(SourceError):
    """An archive is damaged, is not a release, or has members that must not be unpacked."""


class DownloadError(SourceError):
    """A release could not be fetched, or the fetched file is not the published one."""


class MetadataCredentialsError(MetadataError):
    """A metadata service rejected the key, or no key was found."""


class MetadataQuotaError(MetadataError):
    """A metadata service answers no more requests until `retry_at`; the answers so far are cached."""

    def __init__(self, message: str, retry_at: datetime) -> None:
        super().__init__(message)
        self.retry_at = retry_at


class MetadataUnavailableError(MetadataError):
    """A metadata service left too many queries unanswered; the answers so far are cached."""


class DatasetError(MarqueeError):
    """A transition dataset cannot be made from its inputs, or a file is not a complete one."""


class ArtifactError(MarqueeError):
    """A needed artifact is missing."""


class ArtifactDamagedError(ArtifactError):
    """The bytes of an artifact differ from its manifest."""


class ArtifactConflictError(ArtifactError):
    """Another artifact with the same digest but other content exists."""


class CheckpointError(MarqueeError):
    """A checkpoint cannot be used for this run."""


class StorageFullError(MarqueeError):
    """The disk, quota or file-size limit was reached while writing; files written before are unchanged."""


class StorageUnwritableError(MarqueeError):
    """The output folder cannot be written."""


class ObjectStoreError(MarqueeError):
    """The object store refused or did not answer."""


class ObjectStoreCredentialsError(ObjectStoreError):
    """The object store rejected the credentials, or none were found."""


class UnsupportedObjectStoreError(ObjectStoreError):
    """The object store ignores conditional writes, so it cannot hold immutable artifacts and aliases."""


class UnknownAliasError(ObjectStoreError):
    """No alias or digest of that name is published."""


class AliasMovedError(ObjectStoreError):
    """Another process moved the alias between our read and our write."""


class RollbackError(ObjectStoreError):
    """An alias has no earlier artifact to go back to, or that one is no longer published."""
