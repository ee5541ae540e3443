"""Check that an HDF5 file has exactly the declared members and attributes, all stored in the file itself; write attributes.

HDF5 follows external storage, external and soft links and virtual datasets to other files, so a foreign file could make a reader
return the content of any file that this user can read. It also allows shapes that no memory can hold, and filters that are loaded
as plug-ins. The checks here look at links, declarations and sizes before any value is read.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import h5py
import numpy as np

from storage.errors import DatasetError

MAX_LIST = 16  # numbers of an attribute
MAX_TEXT = 1024  # bytes of an attribute; HDF5 keeps those beyond 4 KiB without checksum


class Member(NamedTuple):
    """The declaration of a dataset in an HDF5 file.

    Attributes:
        shape: a letter per dimension. Equal letters are equal sizes, in all members of a file; "U+1" is one more than "U".
        dtypes: names of the NumPy dtypes that it may have, in the machine's byte order.
    """

    shape: tuple[str, ...]
    dtypes: tuple[str, ...]


def need_members(file: h5py.File, members: Mapping[str, Member]) -> dict[str, int]:
    """Refuse a file that has other members than the declared ones, or one that is not stored in the file in chunks.

    The time that this takes does not depend on the size of the file.

    Returns: sizes by the letters of the shapes.

    Raises:
        DatasetError: a link is not a hard link, a member is missing, unknown, external, virtual, compressed, of another dtype or
            rank, declared larger than the file, or does not fit the others.
    """
    _need_hard_links(file, members)
    sizes: dict[str, int] = {}
    declared, whole = 0, file.id.get_filesize()
    for name, member in members.items():
        node = file[name]
        need(file, isinstance(node, h5py.Dataset), f"a dataset {name}", type(node).__name__)
        kind = node.id.get_type()
        known = [h5py.h5t.py_create(np.dtype(dtype), logical=True) for dtype in member.dtypes]
        need(file, any(kind.equal(dtype) for dtype in known), f"{name} of {' or '.join(member.dtypes)}", node.dtype)
        _need_stored_here(
            file, name, node
        )  # before its shape is asked for: a virtual dataset looks for it in other files
        need(file, node.ndim == len(member.shape), f"{name} of {len(member.shape)} dimensions", node.shape)
        for length, letter in zip(node.shape, member.shape, strict=True):
            size, more = letter.partition("+")[::2]
            number = length - int(more or 0)
            good = sizes.setdefault(size, number) == number
            need(file, good, f"members that fit one another, {size} = {sizes[size]}", f"{name} {node.shape}")
        declared += math.prod(node.shape) * kind.get_size()
        chunk = math.prod(node.chunks) * kind.get_size()
        need(file, chunk <= whole, f"chunks of {name} within the file's {whole:,} bytes", f"{chunk:,}")
    # A reader allocates what is declared.
    need(file, declared <= whole, f"members within the file's {whole:,} bytes", f"{declared:,}")
    return sizes


def set_attributes(node: h5py.File | h5py.Dataset, values: Mapping[str, Any]) -> None:
    """Give a group or dataset attributes as `attribute` reads them: numbers, lists of int, and text of fixed length.

    HDF5 keeps text of variable length in a heap without checksum, and can loop for ever when it reads a damaged one. Text of
    fixed length is kept with a checksum, in the object header or beside it.

    Raises:
        DatasetError: a text is empty, longer than MAX_TEXT or not ASCII.
    """
    for name, value in values.items():
        if not isinstance(value, str):
            node.attrs[name] = value
            continue
        if not (value.isascii() and 0 < len(value) <= MAX_TEXT):
            raise DatasetError(
                f"attribute {name}: expected 1 … {MAX_TEXT} ASCII characters; found {value[:80]!r}. Give a digest."
            )
        node.attrs[name] = np.bytes_(value.encode())


def attributes_of(
    node: h5py.File | h5py.Dataset, kinds: Mapping[str, type], prefix: str | None = None
) -> dict[str, Any]:
    """The attributes of a group or dataset.

    Args:
        node: the group or dataset.
        kinds: str, int, float or list (of int, one dimension) by the attribute's name.
        prefix: further attributes whose names begin with this are allowed, of type str.

    Raises:
        DatasetError: an attribute is missing, unknown or of another type.
    """
    names = set(node.attrs)
    further = {name for name in names if prefix is not None and name.startswith(prefix)}
    need(node, names - further == set(kinds), f"attributes {sorted(kinds)}", sorted(names))
    return {name: attribute(node, name, kinds.get(name, str)) for name in sorted(names)}


def attribute(node: h5py.File | h5py.Dataset, name: str, kind: type) -> Any:
    """One attribute, which must be there; its declaration is checked before it is read, and text of variable length is never read.

    Raises:
        DatasetError: it is of another type.
    """
    stored = h5py.h5a.open(node.id, name.encode())
    dtype, shape = stored.dtype, stored.shape
    text = h5py.check_string_dtype(dtype)
    if text is not None and text.length is None:
        raise DatasetError(
            f"{node.file.filename}: expected attribute {name} of fixed length; found one of variable length, as earlier "
            "versions wrote them. Run build-dataset again, and publish the dataset again."
        )
    if kind is str:
        good = text is not None and text.length <= MAX_TEXT and shape == ()
    else:
        good = dtype == (np.float64 if kind is float else np.int64) and len(shape) == (1 if kind is list else 0)
        good = good and math.prod(shape) <= MAX_LIST
    need(node, good, f"attribute {name} of {kind.__name__}", f"{dtype} {shape}")
    value = np.empty(shape, dtype)
    stored.read(value)
    return value.item().decode() if kind is str else value.tolist()


def need(node: h5py.HLObject, good: bool, expected: str, found: object) -> None:
    """Refuse the file of a group or dataset.

    Raises:
        DatasetError: `good` is false.
    """
    if not good:
        raise DatasetError(
            f"{node.file.filename}: expected {expected}; found {found}. Pull it again or run build-dataset again."
        )


def _need_hard_links(file: h5py.File, members: Iterable[str]) -> None:
    """Refuse other names than those of the members and their groups, and links that lead elsewhere."""
    inside: dict[str, set[str]] = defaultdict(set)  # names by group; a group comes after the one that it is in
    for name in members:
        parts = name.split("/")
        for depth, part in enumerate(parts):
            inside["/".join(parts[:depth])].add(part)
    for group, names in inside.items():
        node = file[f"/{group}"]
        need(file, isinstance(node, h5py.Group), f"a group /{group}", type(node).__name__)
        need(file, set(node) == names, f"members {sorted(names)} of /{group}", sorted(node)[:20])
        for name in names:
            link = type(node.get(name, getlink=True))
            need(file, link is h5py.HardLink, f"a hard link {name} in /{group}", link.__name__)


def _need_stored_here(file: h5py.File, name: str, node: h5py.Dataset) -> None:
    """Refuse a dataset whose values are in other files, or are not in checksummed chunks without compression."""
    plan = node.id.get_create_plist()
    layouts = {
        h5py.h5d.COMPACT: "compact storage", h5py.h5d.CONTIGUOUS: "contiguous storage", h5py.h5d.VIRTUAL: "a virtual dataset",
    }  # fmt: skip
    need(file, not plan.get_external_count(), f"{name} stored in the file", "external storage")
    need(file, plan.get_layout() == h5py.h5d.CHUNKED, f"{name} stored in chunks", layouts.get(plan.get_layout()))
    filters = [plan.get_filter(place)[0] for place in range(plan.get_nfilters())]
    need(file, filters == [h5py.h5z.FILTER_FLETCHER32], f"{name} with Fletcher-32 checksums only", f"filters {filters}")
