"""What splits and protocols are called on pages."""

from collections.abc import Mapping

from evaluation.protocols.cases import Protocol
from storage.dataset.format import Split

SPLITS: Mapping[Split, str] = {
    "test": "test users, never trained on",
    "time": "training users, after the time cut",
    "validation": "validation users, who chose the checkpoint",
}
PROTOCOLS: Mapping[Protocol, str] = {
    "next-item": "the next item",
    "fold-in": "the rest of a history",
    "mult-vae": "Mult-VAE protocol",
}


def asked(split: Split, protocol: Protocol) -> str:
    """Who is asked for what."""
    return f"{SPLITS.get(split, split)}: {PROTOCOLS[protocol]}"
