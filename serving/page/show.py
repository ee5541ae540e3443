"""The page itself, a Streamlit script: Streamlit runs it anew after each change that a user makes."""

import html
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import get_args

import altair as alt
import numpy as np
import pandas as pd
import streamlit as st

from evaluation.protocols.distances import DISTANCES, Distance
from models.serve_for import ServeFor
from serving.asking import Answer, Question, Rated, Recommendation
from serving.catalogue import Catalogue
from serving.errors import RequestError
from serving.page.run import PageSettings, opened_policies
from serving.recommend import Recommender
from serving.served import ServedPolicies
from storage.markdown import plain

FOUND = 8  # movies that a search lists
EXAMPLE_MOVIES = 5
MAP_ITEMS = 1500  # the most popular items, as a background of the map
OTHERS = "other movies"
CRITIC_WEIGHTS = (None, 0.0, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 20.0, 100.0)
PICTURES = (".jpg", ".jpeg", ".png", ".webp")
QUESTIONS: dict[ServeFor, str] = {
    "next": "the next movie",
    "later": "movies from now on",
    "liked": "movies that are liked",
    "new": "new movies",
}


def show(served: ServedPolicies, posters: Path | None = None) -> None:
    """Show the page."""
    st.set_page_config("Marquee", layout="wide")
    st.title("What to watch next")
    first = served.recommender_for(None)
    assert first is not None  # noqa: S101  # `opened_policies` loaded it
    st.session_state.setdefault("ratings", {})
    ratings: dict[int, float] = st.session_state.ratings
    left, right = st.columns(2)
    with left:
        rate_movies(first, ratings)
    with right:
        rated_movies(first, ratings)
    names = (*served.served, *first.baselines)
    recommenders = {name: one for name in names if (one := served.recommender_for(name)) is not None}
    asked = settings(ratings, any(one.has_critics(name) for name, one in recommenders.items()))
    answers: dict[str, Answer] = {}
    for side, column in enumerate(st.columns(2)):
        with column:
            name = st.selectbox(
                f"Method {'on the left' if side == 0 else 'on the right'}",
                list(recommenders),
                index=min(side, len(recommenders) - 1),
                key=f"method{side}",
                help="Each movie has the score that the method ranks it by, the return that the policy's critics expect of "
                "recommending it, and the most similar movies among your ratings (cosine 1: the same embedding).",
            )
            answer = recommended(recommenders[name], asked, name, posters)
            if answer is not None:
                answers["left" if side == 0 else "right"] = answer
    show_map(first.catalogue, ratings, answers)


def rate_movies(recommender: Recommender, ratings: dict[int, float]) -> None:
    """Search movies and rate them, or take an example user."""
    catalogue, scale = recommender.catalogue, recommender.ratings.scale
    st.subheader("Rate movies")
    query = st.text_input("Search a movie", key="query", placeholder="part of a title")
    found = catalogue.by_title.search(query, FOUND) if query else popular(catalogue, FOUND)
    if found:
        item = st.selectbox("Movie", found, format_func=catalogue.with_year, key="movie")
        values = [round(scale.lowest + scale.step * place, 6) for place in range(scale.codes)]
        slider, button = st.columns([3, 1], vertical_alignment="bottom")
        rating = slider.select_slider("Rating", values, values[-1], format_func="{:g}".format, key="rating")
        if button.button("Rate", key="rate", type="primary", width="stretch"):
            movie_id = int(catalogue.ids[item])
            ratings.pop(movie_id, None)  # a new rating is the newest
            ratings[movie_id] = rating
    else:
        st.info("No movie has such a title.")
    genres = sorted(catalogue.genre_masks)
    choice, button = st.columns([3, 1], vertical_alignment="bottom")
    genre = choice.selectbox(
        "Or an example user",
        genres,
        index=None,
        format_func="likes {}".format,
        placeholder="likes a genre",
        help=f"Gives {scale.highest:g} to the {EXAMPLE_MOVIES} most rated movies of a genre.",
        key="example",
    )
    if button.button("Take", key="take", disabled=genre is None, width="stretch") and genre is not None:
        ratings.clear()
        mask = catalogue.genre_masks[genre]
        liked = [item for item in popular(catalogue, len(catalogue)) if mask[item]][:EXAMPLE_MOVIES]
        ratings.update({int(catalogue.ids[item]): scale.highest for item in liked})


def popular(catalogue: Catalogue, most: int) -> tuple[int, ...]:
    """Items by their number of training events."""
    order = catalogue.events.argsort(descending=True, stable=True)
    return tuple(order[:most].tolist())


def rated_movies(recommender: Recommender, ratings: dict[int, float]) -> None:
    """The ratings, with a button that removes each."""
    catalogue = recommender.catalogue
    st.subheader("Your ratings")
    if not ratings:
        st.write("There are none yet. The lists below show what is popular.")
        return
    with st.container(horizontal=True, gap="small"):
        for movie_id in reversed(list(ratings)):
            (item,) = items_of(catalogue, [movie_id]) or (None,)
            title = f"movie {movie_id}" if item is None else catalogue.with_year(item)
            st.button(
                f"✕ {ratings[movie_id]:g} · {plain(title)}",
                key=f"remove{movie_id}",
                on_click=forget,
                args=(ratings, movie_id),
                help="Remove this rating",
            )
        st.button("Remove all", key="clear", on_click=ratings.clear)


def forget(ratings: dict[int, float], movie_id: int) -> None:
    """Remove a rating; the second of two quick clicks finds none."""
    ratings.pop(movie_id, None)


def settings(ratings: Mapping[int, float], critics: bool) -> Question:
    """The question of both lists, without its method; `critics`: whether a method has critics that can re-rank."""
    with st.sidebar:
        st.header("Lists")
        serve_for = st.selectbox(
            "What the list is for", get_args(ServeFor), format_func=QUESTIONS.__getitem__, key="serve_for"
        )
        diversity = st.slider("Diversity", 0.0, 1.0, 0.0, 0.05, key="diversity", help="0: the scores alone decide.")
        distance: Distance | None = st.selectbox(
            "Distance to the policy's action",
            DISTANCES,
            index=None,
            placeholder="none: the method's own scores",
            key="distance",
        )
        critic_weight = None
        if critics:
            critic_weight = st.select_slider(
                "Weight of the critics",
                CRITIC_WEIGHTS,
                format_func=lambda weight: "as tuned" if weight is None else f"{weight:g}",
                key="critic_weight",
                disabled=distance is not None,
                help="How much the critics' value counts against the score, when the best movies are ranked again. "
                "0: not at all; 1: as much as the score. A distance ranks without critics.",
            )
        k = st.slider("Movies in a list", 1, 50, 10, key="k")
    history = tuple(Rated(movie_id=movie_id, rating=rating) for movie_id, rating in ratings.items())
    return Question(
        history=history,
        k=k,
        serve_for=serve_for,
        diversity=diversity,
        distance=distance,
        critic_weight=None if distance is not None else critic_weight,
    )


def recommended(recommender: Recommender, asked: Question, name: str, posters: Path | None) -> Answer | None:
    """Show what one method recommends, or why it cannot recommend."""
    changes: dict[str, object] = {"method": name}
    if asked.distance is not None and not recommender.acts(name):
        st.caption("This method has no action, so it ranks by its own scores.")
        changes["distance"] = None
    if asked.critic_weight is not None and not recommender.has_critics(name):
        st.caption("This method has no critics, so it ranks by its own scores.")
        changes["critic_weight"] = None
    try:
        answer = recommender.recommend(asked.model_copy(update=changes))
    except RequestError as error:  # such as a policy with another scale of ratings
        st.error(str(error))
        return None
    if answer.note:
        st.caption(answer.note)
    elif answer.unknown_ids:
        st.caption(f"This method does not know {len(answer.unknown_ids)} of your movies.")
    for place, item in enumerate(answer.items, 1):
        with st.container(border=True):
            poster = picture(posters, item.movie_id)
            if poster is not None:
                st.image(str(poster), width=92)
            st.html(told(place, item))
    return answer


def told(place: int, item: Recommendation) -> str:
    """Title, genres, score, critics' value and reasons of an item, as HTML: in Markdown an address becomes a link."""
    year = "" if item.year is None else f" ({item.year})"
    value = "" if item.value is None else f" · critics' value {item.value:.3f}"
    lines = [", ".join(item.genres), f"score {item.score:.3f}{value}"]
    lines += [f"near {one.title}, rated {one.rating:g} (cosine {one.similarity:.2f})" for one in item.because]
    rest = "<br>".join(html.escape(line, quote=False) for line in lines if line)
    title = html.escape(f"{place}. {item.title}{year}", quote=False)
    return f'<strong>{title}</strong><div style="font-size: 0.875rem; opacity: 0.75">{rest}</div>'


def picture(posters: Path | None, movie_id: int) -> Path | None:
    """The poster of an item in a local folder, if there is one."""
    if posters is None:
        return None
    return next((path for end in PICTURES if (path := posters / f"{movie_id}{end}").is_file()), None)


def show_map(catalogue: Catalogue, ratings: Mapping[int, float], answers: Mapping[str, Answer]) -> None:
    """The rated and the recommended items among the catalogue's embeddings."""
    st.subheader("Map of movies")
    group = dict.fromkeys(popular(catalogue, MAP_ITEMS), OTHERS)
    for side, answer in answers.items():
        for item in items_of(catalogue, [item.movie_id for item in answer.items]):
            group[item] = "on both lists" if group.get(item) == "on the left" else f"on the {side}"
    group |= dict.fromkeys(items_of(catalogue, list(ratings)), "rated")
    items = sorted(group, key=lambda item: group[item] != OTHERS)  # what comes later is drawn on top
    st.altair_chart(chart(catalogue, items, [group[item] for item in items]), width="stretch")
    st.caption("The first two principal components of the embeddings: near movies have similar metadata.")


def items_of(catalogue: Catalogue, movie_ids: Sequence[int]) -> list[int]:
    """The item indices of ids; other policies may know items that this catalogue does not have."""
    places = catalogue.index.of(np.array(movie_ids, dtype=np.int64))
    return [int(place) for place in places if place >= 0]


def chart(catalogue: Catalogue, items: Sequence[int], groups: Sequence[str]) -> alt.Chart:
    """Items as points, coloured by group."""
    x, y = catalogue.plane[items].T.tolist()
    titles = [catalogue.with_year(item) for item in items]
    table = pd.DataFrame({"x": x, "y": y, "movie": titles, "group": groups})
    domain = [OTHERS, "rated", "on the left", "on the right", "on both lists"]
    colours = alt.Scale(domain=domain, range=["#b4bac2", "#cc79a7", "#0072b2", "#d55e00", "#009e73"])
    is_other = alt.datum.group == OTHERS
    return (
        alt.Chart(table)
        .mark_circle(opacity=1)
        .encode(
            x=alt.X("x", axis=None),
            y=alt.Y("y", axis=None),
            color=alt.Color("group", scale=colours, legend=alt.Legend(orient="bottom", title=None, columns=3)),
            size=alt.condition(is_other, alt.value(12), alt.value(90)),
            tooltip=["movie", "group"],
        )
        .properties(height=420)
    )


if __name__ == "__main__":
    shown = PageSettings.model_validate_json(sys.argv[1])
    show(opened_policies(shown), shown.posters)
