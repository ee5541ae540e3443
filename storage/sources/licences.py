"""What the terms of each source ask for, one sentence each, for manifests and reports."""

LICENCES = {
    "movielens": "MovieLens (GroupLens): research use, cite Harper and Konstan 2015, no commercial use without permission.",
    "genome": "Tag genome (GroupLens): cite Vig, Sen and Riedl 2012. Computed from the ratings, tags and reviews of all users, "
    "held-out ones among them: for a strict protocol set features.weights.genome=0.",
    "tmdb": "TMDB data: attribution, non-commercial; its terms limit caching and machine-learning use.",
    "imdb": "IMDb non-commercial datasets: personal and non-commercial use only.",
    "omdb": "OMDb content: CC BY-NC 4.0.",
}
