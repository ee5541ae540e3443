"""Transition files that a stranger could publish: valid ones in which one thing was changed."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np

SECRET = b"-----BEGIN PRIVATE KEY----- " * 400  # finite numbers in every dtype of the format
Attack = Callable[[h5py.File, Path], None]


def replaced(name: str, **options: Any) -> Attack:
    """Store a member again, with other options of h5py."""

    def change(file: h5py.File, _: Path) -> None:
        member = file[name]
        given = {"data": member[...], "chunks": True, "fletcher32": True} | options
        attributes = dict(member.attrs)
        del file[name]
        file.create_dataset(name, **given).attrs.update(attributes)

    return change


def external_storage(name: str) -> Attack:
    """Let a member's values be the bytes of another file."""

    def change(file: h5py.File, secret: Path) -> None:
        member, attributes = file[name], dict(file[name].attrs)
        del file[name]
        place = [(str(secret), 0, member.nbytes)]
        file.create_dataset(name, shape=member.shape, dtype=member.dtype, external=place).attrs.update(attributes)

    return change


def elsewhere(name: str, kind: str) -> Attack:
    """Let a name lead to the secret's bytes in another file, by a link or a virtual dataset."""

    def change(file: h5py.File, secret: Path) -> None:
        other = secret.with_suffix(".h5")
        node = file[name]
        with h5py.File(other, "w") as stranger:
            file.copy(node, stranger, name)
            if isinstance(node, h5py.Dataset) and node.dtype.kind in "fiu":
                stranger[name][...] = np.resize(np.frombuffer(SECRET[: len(SECRET) // 8 * 8], node.dtype), node.shape)
        if kind == "virtual":
            layout = h5py.VirtualLayout(node.shape, node.dtype)
            layout[...] = h5py.VirtualSource(other, name, node.shape)
            attributes = dict(node.attrs)
            del file[name]
            file.create_virtual_dataset(name, layout)
            file[name].attrs.update(attributes)
            return
        del file[name]
        if kind == "soft":
            file["hidden"] = h5py.ExternalLink(other, "/")
            file[name] = h5py.SoftLink(f"/hidden/{name}")
            return
        file[name] = h5py.ExternalLink(other, name)

    return change


def values(name: str, change: Callable[[Any], Any]) -> Attack:
    """Change a member's values, not its declaration."""

    def apply(file: h5py.File, _: Path) -> None:
        file[name][...] = change(file[name][...])

    return apply


def attribute(name: str, value: Any, of: str = "/") -> Attack:
    """Give an attribute another value; None removes it."""

    def change(file: h5py.File, _: Path) -> None:
        if value is None:
            del file[of].attrs[name]
        else:
            file[of].attrs[name] = np.bytes_(value.encode()) if isinstance(value, str) else value

    return change


def text_of_variable_length(name: str, of: str = "/") -> Attack:
    """Store an attribute as text in the heap that has no checksum, as the first version of the format did."""

    def change(file: h5py.File, _: Path) -> None:
        text = file[of].attrs[name]
        file[of].attrs[name] = text.decode() if isinstance(text, bytes) else str(text)

    return change


def spoilt(path: Path, attack: Attack) -> Path:
    """Apply an attack to a file beside which the secret lies; returns the file."""
    secret = path.with_name("secret.txt")
    secret.write_bytes(SECRET)
    with h5py.File(path, "a", libver="latest") as file:
        attack(file, secret)
    return path
