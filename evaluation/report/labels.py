"""The names of splits and protocols on pages."""

from collections.abc import Mapping

from evaluation.protocols.cases import Protocol
from storage.dataset.format import Split

SPLITS: Mapping[Split, str] = {
    "test": "test users",
    "time": "training users, after the time cut",
    "validation": "validation users, on whom checkpoints were selected",
}
PROTOCOLS: Mapping[Protocol, str] = {
    "next-item": "the next item",
    "fold-in": "the rest of a history",
    "mult-vae": "Mult-VAE protocol",
}


def cases_title(split: Split, protocol: Protocol) -> str:
    """The name of a set of cases: of whose events they are, and by which protocol."""
    return f"{SPLITS.get(split, split)}: {PROTOCOLS[protocol]}"
