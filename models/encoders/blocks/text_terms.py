"""TF-IDF of the text's words: an encoder may lose names, places and professions."""

from functools import partial

import numpy as np
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer

from models.encoders.columns import ItemColumns
from models.encoders.sums import Counts, Sums
from models.encoders.tabular import Block, FeatureBlock, Fit, inverse_frequency, with_values

# Words of three letters or more.
WORDS = {"stop_words": "english", "token_pattern": r"(?u)\b[^\W\d]{3,}\b", "dtype": np.float32}


def collect(items: ItemColumns) -> Sums:
    """The number of training texts, of those with each word, and of each word's occurrences in them."""
    training = [text for text, known in zip(items.texts, items.train, strict=bool(items.texts)) if known]
    counter = CountVectorizer(**WORDS)
    try:
        counts = counter.fit_transform(training)
    except ValueError:  # no word in any of them
        return Sums(texts=len(training), with_word=Counts(), occurrences=Counts())
    words = counter.get_feature_names_out().tolist()
    with_word = np.bincount(counts.indices, minlength=len(words)).tolist()
    occurrences = np.bincount(counts.indices, counts.data, len(words)).astype(int).tolist()
    return Sums(
        texts=len(training),
        with_word=Counts(dict(zip(words, with_word, strict=True))),
        occurrences=Counts(dict(zip(words, occurrences, strict=True))),
    )


def finish(sums: Sums, least: int, most: int) -> Fit:
    """The `most` commonest of the words that at least `least` training texts have, in alphabetical order, and their idf."""
    words = sorted(word for word, texts in sums["with_word"].items() if texts >= least)
    commonest = np.argsort([-np.float32(sums["occurrences"][word]) for word in words])[:most]
    chosen = [words[place] for place in sorted(commonest.tolist())]
    return Fit(chosen, {"idf": inverse_frequency(sums["texts"], [sums["with_word"][word] for word in chosen])})


def apply(fit: Fit, items: ItemColumns) -> Block:
    """TF-IDF of the texts, (I, W), rows of length 1."""
    vectoriser = TfidfVectorizer(sublinear_tf=True, vocabulary=fit.names, **WORDS)
    vectoriser.idf_ = fit.arrays["idf"].astype(np.float32)
    return with_values(np.asarray(vectoriser.transform(items.texts).toarray()))


BLOCK = FeatureBlock(
    "text_terms",
    collect,
    partial(finish, least=5, most=256),
    apply,
    weight=0.3,
    note="TF-IDF of the text's words.",
)
