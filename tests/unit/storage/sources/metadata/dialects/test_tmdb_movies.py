import datetime as dt
from pathlib import Path

from unit.storage.sources.metadata.exports_support import export, read_export


def test_zeros_jokes_and_placeholders_are_unknown(tmp_path: Path) -> None:
    rows = "1,tt1,0.5,0,11,A|B,C,,k|l,No overview found.,0,Drama,P,1999\n1,tt1,9,9,9,,,,,again,9,,,1999\n"
    table, facts = read_export(export(tmp_path, rows))
    movie = table.to_pylist()[0]
    assert (movie["budget_usd"], movie["revenue_usd"], movie["runtime_minutes"], movie["overview"]) == (None,) * 4
    assert (movie["cast"], movie["directors"], movie["keywords"]) == (["A", "B"], ["C"], ["k", "l"])
    assert facts["dropped_repeated"] == 1


def test_control_characters_and_long_texts(tmp_path: Path) -> None:
    rows = f"1,tt1,0.5,0,0,,,,,a\x07b {'x' * 100_000},90,,,1999\n"
    table, facts = read_export(export(tmp_path, rows))
    overview = table["overview"][0].as_py()
    assert overview.startswith("a b xxx")
    assert len(overview) <= 20_000
    assert facts["texts_cut"] == 1


def test_nul_bytes_in_a_text(tmp_path: Path) -> None:
    table, _ = read_export(export(tmp_path, "1,tt1,0.5,0,0,,,,,a\x00b,90,,,1999\n"))
    assert "\x00" not in table["overview"][0].as_py()


def test_short_dates_take_the_century_of_the_release_year_or_are_unknown(tmp_path: Path) -> None:
    header = "id,imdb_id,overview,release_date,release_year\n"
    rows = "1,,A,4/5/68,1968\n2,,B,6/9/15,2015\n3,,C,6/9/15,1966\n4,,D,13/9/15,2015\n5,,E,,2015\n"
    table, _ = read_export(export(tmp_path, rows, header=header))
    assert table["release_date"].to_pylist() == [dt.date(1968, 4, 5), dt.date(2015, 6, 9), None, None, None]
