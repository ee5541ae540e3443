from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from storage.sources.metadata.fields import converter, source_table
from storage.tables import SOURCE_SCHEMA

anything = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), st.just(10**400), st.just("\ud800"),
        st.sampled_from(["1999-12-31", "tt1", "5", "yes", "{}"]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(["name", "results", "cast", "job"]), inner, max_size=3)
    ),
    max_leaves=6,
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(SOURCE_SCHEMA.names), anything)
def test_cells_of_any_kind_become_values_or_reasons(name: str, cell: Any) -> None:
    try:
        value = converter(name, "|")(cell)
    except ValueError:
        return
    source_table([{name: value}]).validate(full=True)
