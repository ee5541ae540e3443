import json
from pathlib import Path

from unit.storage.sources.metadata.exports_support import KAGGLE, export, read_export


def test_json_dialect_and_broken_rows(tmp_path: Path) -> None:
    names = json.dumps([{"id": 1, "name": "X"}]).replace('"', '""')
    good = f'2000000,"{names}",5,"{names}",en,Text,1.5,"{names}","{names}",0,100,"{names}",Tag\n'
    bad = "1,not json,6,not json,en,Text,1,[],[],0,100,[],Tag\n"
    table, facts = read_export(export(tmp_path, good + bad, header=KAGGLE))
    assert table.num_rows == 1
    assert table.to_pylist()[0]["countries"] == ["X"]
    assert facts["dropped_broken"] == 1
