"""TF-IDF of the text's words: an encoder may lose names, places and professions."""

from functools import partial
from typing import Any

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer

from models.encoders.columns import ItemColumns
from models.encoders.tabular import Block, FeatureBlock, Fit, Floats, empty_block, not_all_zero


def text_terms_block(items: ItemColumns, least: int, most: int) -> Block:
    """TF-IDF of the `most` commonest words, (I, W), rows of length 1; words and their idf come from training items."""
    if not items.texts:
        return empty_block(len(items.train))
    training = [text for text, known in zip(items.texts, items.train, strict=True) if known]
    vectoriser = make_vectoriser(min_df=least, max_df=1.0, max_features=most)
    try:
        vectoriser.fit(training)
    except ValueError:  # no word is left
        return empty_block(len(items.train))
    values = vectoriser.transform(items.texts).toarray()
    arrays = {"idf": vectoriser.idf_.astype(np.float64)}
    return Block(values, vectoriser.get_feature_names_out().tolist(), not_all_zero(values), arrays)


def text_term_rows(fit: Fit, items: ItemColumns) -> Floats:
    """TF-IDF of further items' texts, (I, W)."""
    vectoriser = make_vectoriser(vocabulary=fit.names)
    vectoriser.idf_ = fit.arrays["idf"].astype(np.float32)
    return np.asarray(vectoriser.transform(items.texts).toarray())


def make_vectoriser(**given: Any) -> TfidfVectorizer:
    """A vectoriser of words of three letters or more; `given` says which words have a column."""
    pattern = r"(?u)\b[^\W\d]{3,}\b"
    return TfidfVectorizer(stop_words="english", sublinear_tf=True, dtype=np.float32, token_pattern=pattern, **given)


BLOCK = FeatureBlock(
    "text_terms",
    partial(text_terms_block, least=5, most=256),
    text_term_rows,
    weight=0.3,
    note="TF-IDF of the text's words.",
)
