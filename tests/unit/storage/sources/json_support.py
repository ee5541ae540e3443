"""Strategies for JSON that a metadata service might send."""

from hypothesis import strategies as st

KNOWN_NAMES = """
    id imdb_id adult budget revenue runtime popularity vote_average vote_count genres name results cast crew order job
    department credits keywords release_dates certification iso_3166_1 belongs_to_collection spoken_languages
    english_name production_countries release_date overview status_code movie_results success
    imdbID Response Error Plot Rated Released Runtime Genre Actors Writer Ratings Source Value Metascore imdbRating
    imdbVotes BoxOffice Type Awards Production
"""
NAMES = st.sampled_from(KNOWN_NAMES.split())
SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.integers(10**300, 10**310)
    | st.sampled_from(["N/A", "\ud800", "1 h 30 min", "31 Feb 2001", "$1,234", "Rotten Tomatoes", "7%", "1999-13-01",
                       "١٢ min", "Director", "Writing", "US", "tt1", "True", "False", "a(b", ",,,"])
)  # fmt: skip
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=8), max_leaves=6
)
OBJECTS = st.fixed_dictionaries({}, optional=dict.fromkeys(KNOWN_NAMES.split(), VALUES))
