import gzip
import io
import json
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from unit.storage.sources.metadata.exports_support import DETAILS, KAGGLE, LITERALS, UDACITY, export, read_export

from storage.errors import MetadataError
from storage.sources.metadata.files import MetadataFile, find_metadata


def test_unknown_header_empty_file_and_missing_path(tmp_path: Path) -> None:
    with pytest.raises(MetadataError, match="expected the header of"):
        read_export(export(tmp_path, "1,2\n", header="a,b\n"))
    (tmp_path / "empty.csv").write_text("")
    with pytest.raises(MetadataError, match="the file is empty"):
        read_export(tmp_path / "empty.csv")
    with pytest.raises(MetadataError, match="found nothing there"):
        find_metadata((MetadataFile(path=tmp_path / "absent.csv"),))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    kind=st.sampled_from(("e.csv", "e.csv.gz", "e.zip", "e.jsonl", "k.csv", "l.csv")),
    noise=st.one_of(
        st.binary(max_size=40), st.sampled_from([b'"', b'""', b"\n", b"\r", b"\x00", b"\xff", b"[", b"\\", b"'"])
    ),
    place=st.integers(0, 700),
    drop=st.integers(0, 20),
    inside=st.booleans(),
)
def test_random_damage_gives_only_typed_errors(
    tmp_path: Path, kind: str, noise: bytes, place: int, drop: int, inside: bool
) -> None:
    names = "[{'id': 1, 'name': 'X'}]"
    whole = {
        "e": UDACITY + '1,tt1,0.5,0,0,A|B,C,,k|l,"x, y",90,Drama,P,1999\n2,tt2,,,,,,,,,,,,\n',
        "k": KAGGLE + '2,"[{""name"": ""X""}]",5,[],en,Text,1.5,[],[],0,100,[],Tag\n',
        "l": LITERALS + f'False,,5000,"{names}",862,tt0114709,Toy,Text,1.5,[],1995-10-30,Released\n',
    }
    data = (json.dumps(DETAILS) + "\n" if kind == "e.jsonl" else whole[kind[0]]).encode()

    def damage(text: bytes) -> bytes:
        at = min(place, len(text))
        return text[:at] + noise + text[at + drop :]

    data = damage(data) if inside else data
    if kind.endswith(".gz"):
        data = gzip.compress(data)
    elif kind.endswith(".zip"):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("e.csv", data)
        data = buffer.getvalue()
    (tmp_path / kind).write_bytes(data if inside else damage(data))
    try:
        table, _ = read_export(tmp_path / kind)
        table.validate(full=True)
        assert table.num_rows >= 1
    except MetadataError as error:
        assert "expected" in str(error)
