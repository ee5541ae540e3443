"""What a recommendation is for. A ranking policy has weights of its own for each of four questions.

next   what does a user rate next?
later  what does a user rate from now on?
liked  what does a user like, whatever the order?
new    what does a user rate after the training events have ended?
"""

from typing import Literal, Protocol, Self, get_args, runtime_checkable

from models.histories import Scorer

ServeFor = Literal["next", "later", "liked", "new"]
SERVE_FOR: tuple[ServeFor, ...] = get_args(ServeFor)


@runtime_checkable
class Serving(Protocol):
    """A scorer that depends on the question."""

    def serving(self, question: ServeFor) -> Self:
        """The scorer that answers a question; it shares all tensors with this one."""


def serving(scorer: Scorer, question: ServeFor) -> Scorer:
    """The scorer that answers a question: a policy with the weights for it; any other scorer unchanged."""
    if not isinstance(scorer, Serving):
        return scorer
    answering: Scorer = scorer.serving(question)
    return answering
