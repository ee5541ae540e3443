"""The public face of Marquee in Python: `marquee.load("pulled/policy/…")` gives a recommender."""

from serving.asking import Answer, Question, Rated
from serving.loading import load
from serving.recommend import Recommender

__all__ = ["Answer", "Question", "Rated", "Recommender", "load"]
