"""Place movies that a dataset does not have among its items, by the features that were fitted for it."""

from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import ValidationError

from models.encoders.fitted import FittedFeatures
from models.encoders.text import Precision
from models.encoders.text_encoders import find_encoder
from models.errors import EncoderError
from storage.artifacts.manifest import MANIFEST, read_manifest, verify_files
from storage.artifacts.store import ArtifactStore
from storage.dataset.item_table import for_dataset, read_item_ids
from storage.errors import ArtifactError, DatasetError
from storage.files import replacing, writing_to
from storage.sources.new_items import read_new_items
from storage.tables import items_table
from tasks.encode_texts import item_texts
from tasks.feature_blocks import further_columns
from tasks.fitted_features import read_features
from tasks.texts import TextParams


def embed_items(path: Path, dataset: Path, out: Path) -> dict[str, Any]:
    """Write new movies as a table of items, with the embeddings that the dataset's fitted features give them.

    Nothing is fitted: vocabularies, means, scales, the reduction and the text encoder are those of the dataset.

    Args:
        path: of the movies; see `read_new_items`.
        dataset: folder of the dataset's artifact.
        out: the Parquet file to write.

    Returns: counts of movies, and of those with a text and with metadata.

    Raises:
        MetadataError: the movies cannot be read.
        ArtifactError, DatasetError: the folder holds no dataset, or one without fitted features; or it has one of the movies.
        EncoderError: the dataset's text encoder is not installed.
    """
    manifest = read_manifest(dataset)
    if manifest.recipe.kind != "dataset":
        raise ArtifactError(f"{dataset}: expected a dataset; found {manifest.recipe.kind}. Give another folder.")
    verify_files(dataset, manifest)
    movies = read_new_items(path)
    ids = movies["movie_id"].to_numpy()
    known = np.isin(ids, read_item_ids(dataset / "items.parquet"))
    if known.any():
        raise DatasetError(
            f"{path}: expected movies that dataset/{manifest.digest} does not have; found {int(known.sum())} that it has, such as "
            f"{ids[known][:3].tolist()}. Remove these rows."
        )
    fitted = read_features(dataset)
    text = text_vectors(fitted, item_texts(movies))
    has_text = np.asarray(text.any(axis=1))
    items = items_table(movies, fitted.embed(further_columns(movies, text)), has_text)
    items = items.append_column("training_events", pa.array(np.zeros(len(ids), dtype=np.int64)))
    with writing_to(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        with replacing(out) as temporary:
            pq.write_table(for_dataset(items, manifest.digest), temporary)
    return {
        "movies": len(ids),
        "with_text": int(has_text.sum()),
        "with_metadata": int(pa.compute.sum(items["has_metadata"]).as_py()),
    }


def text_vectors(fitted: FittedFeatures, texts: list[str]) -> np.ndarray[Any, np.dtype[np.float32]]:
    """The vectors (I, E) of texts by the encoder of fitted features.

    Raises:
        EncoderError: it is not installed, or has other weights here; or its parameters are not valid.
    """
    weights = fitted.encoder.get("weights")
    try:
        params = TextParams.model_validate(fitted.encoder.get("params"))
    except ValidationError as error:
        raise EncoderError(
            f"fitted features: expected the parameters of a text encoder; found {str(error)[:200]}. Build the dataset again."
        ) from error
    encoder = find_encoder(params.encoder)
    if (found := encoder.identity()) != weights:
        raise EncoderError(
            f"encoder {params.encoder!r}: expected the weights that the dataset was built with, {weights}; found {found}. "
            "Install the version of the encoder that built the dataset, or build it again."
        )
    return encoder.load(params.max_tokens, cast(Precision, params.precision)).encode(texts)


def dataset_folder(name: str, store: ArtifactStore) -> Path:
    """The folder of a dataset: of a pulled one, or by the first digits of its digest or `latest` in a store.

    Raises:
        ArtifactError: there is none.
    """
    return Path(name) if (Path(name) / MANIFEST).is_file() else store.open(store.select("dataset", name))
