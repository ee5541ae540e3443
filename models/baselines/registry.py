"""The registry of baselines. A new one is its own file, with an `ENTRY`, and its name in the import and in `MODULES` here."""

from models.baselines import (
    als,
    biased_mf,
    collaborative,
    content,
    ease,
    fm,
    item_knn,
    markov,
    popularity,
    rbm,
    recent_popularity,
)
from models.baselines.entry import BaselineEntry

# In the order of the reports.
MODULES = (popularity, recent_popularity, content, collaborative, markov, item_knn, als, ease, biased_mf, rbm, fm)
BASELINES: dict[str, BaselineEntry] = {module.ENTRY.name: module.ENTRY for module in MODULES}
