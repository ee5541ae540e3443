import pytest
from pydantic import SecretStr, ValidationError

from storage.sources.web.tmdb_api import TmdbApi


def test_a_v3_key_is_sent_in_the_query_and_a_token_in_the_header() -> None:
    assert TmdbApi().credential(SecretStr("aB" * 16 + "\n")).query_parameter == "api_key"
    assert TmdbApi().credential(SecretStr("eyJ.a.b")).query_parameter is None


def test_the_language_is_checked_and_changes_the_table() -> None:
    with pytest.raises(ValidationError):
        TmdbApi(language="english")
    assert TmdbApi(language="de-DE").table_parameters() == {"language": "de-DE", "max_failed_share": 0.05}
    assert TmdbApi(concurrency=1).table_parameters() == TmdbApi().table_parameters()
