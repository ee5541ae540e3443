"""Results that papers published, to stand beside ours of the same protocol."""

from typing import NamedTuple

LIANG, STECK = "Liang et al. 2018, table 2, ML-20M", "Steck 2019, table 1, ML-20M"
KLENITSKIY, PETROV = "Klenitskiy & Vasilev 2023, ML-1M", "Petrov & Macdonald 2023, ML-1M"


class Published(NamedTuple):
    """A method's published metrics, and where they are from."""

    name: str
    metrics: dict[str, float]
    source: str


MULT_VAE = [
    Published(f"{name} (published)", {"recall@20": recall_20, "recall@50": recall_50, "ndcg@100": ndcg}, source)
    for name, recall_20, recall_50, ndcg, source in (
        ("Mult-VAE", 0.395, 0.537, 0.426, LIANG),
        ("Mult-DAE", 0.387, 0.524, 0.419, LIANG),
        ("CDAE", 0.391, 0.523, 0.418, LIANG),
        ("SLIM", 0.370, 0.495, 0.401, LIANG),
        ("WMF", 0.360, 0.498, 0.386, LIANG),
        ("EASE", 0.391, 0.521, 0.420, STECK),
    )
]
LEAVE_ONE_OUT = [
    Published(f"{name} (published)", {"ndcg@10": ndcg}, source)
    for name, ndcg, source in (
        ("SASRec, cross-entropy, 3,000 negatives", 0.1857, KLENITSKIY),
        ("SASRec, cross-entropy", 0.1821, KLENITSKIY),
        ("gSASRec", 0.1726, PETROV),
        ("BERT4Rec", 0.1537, KLENITSKIY),
        ("SASRec, one negative", 0.1341, KLENITSKIY),
    )
]
