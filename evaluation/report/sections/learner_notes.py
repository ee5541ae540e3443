"""What a reader of a model card wants to know of each learner: how it works, in one sentence, and where it is from."""

from typing import NamedTuple


class Note(NamedTuple):
    """A method in one sentence, and its paper."""

    summary: str
    paper: str


NOTES: dict[str, Note] = {
    "policy_learning": Note(
        "Imitates the choices that users liked; no critic.",
        "Reward-weighted regression, Peters & Schaal 2007",
    ),
    "reward_actor_critic": Note(
        "A critic predicts the next rating; the actor goes where the critic likes it. Looks one step ahead.",
        "Contextual bandits with regression; docs/methods.md",
    ),
    "td_actor_critic": Note(
        "As before, but the critic also counts what comes later, bootstrapping from itself.",
        "Temporal differences, Sutton 1988; actor-critic, Konda & Tsitsiklis 2000",
    ),
    "ddpg": Note(
        "Actor and critic with slowly following copies that hold the critic's goal still.",
        "Lillicrap et al. 2016, arXiv:1509.02971",
    ),
    "td3": Note(
        "Two critics, of which the lesser counts; noise on the target's action; an actor that moves at every second step.",
        "Fujimoto, van Hoof & Meger 2018, arXiv:1802.09477",
    ),
    "td3_bc": Note(
        "TD3, held near the choices that were logged.",
        "Fujimoto & Gu 2021, arXiv:2106.06860",
    ),
    "ranking": Note(
        "Scores every item by what follows what, likeness of content, a learnt action over a sequence state and popularity, "
        "in shares tuned on validation users; so is the say that a TD3 critic has.",
        "This project, docs/methods.md; Fujimoto et al. 2018, Cho et al. 2014, Jean et al. 2015",
    ),
    "gru4rec": Note(
        "A recurrent network over the sequence of items, cross-entropy on the next one; a trained baseline.",
        "Hidasi et al. 2016, arXiv:1511.06939",
    ),
    "sasrec": Note(
        "Self-attention over the sequence of items; a trained baseline.",
        "Kang & McAuley 2018, arXiv:1808.09781",
    ),
}
INTENDED_USE = (
    "Ranks the items of the catalogue it was trained on for users whose rated items, in time order, are known. "
    "For research and offline comparison; an online test must come before a decision that matters."
)
LIMITS = (
    "Learnt from logged choices alone: what nobody was shown, nobody could choose, and no offline number undoes that.",
    "Knows the items of its catalogue only; new ones have to be placed by extend-dataset first.",
    "A number here is an average over users; people with few ratings or rare tastes may be served worse (see the bias plots).",
)
LADDER_LIMIT = "Ranks by nearness of one predicted point: the mean of what a user might like next is near none of it."
