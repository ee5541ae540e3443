"""Let a learner begin from the weights of an earlier policy, which may know fewer items."""

from torch import Tensor, nn

from models.learners.entry import Learner
from models.policy import Policy, Publishable
from models.stored_policy import need_tensors


def begin_from(learner: Learner, policy: Publishable, earlier: Publishable, places: Tensor) -> None:
    """Give a learner the weights that an earlier policy of the same learner stored; what is not stored begins anew.

    Args:
        learner: before its first update.
        policy: its policy, which shares its weights.
        earlier: on I' of the learner's I items.
        places: of these among the learner's items, (I',). Rows of weights for the other items stay as they are.

    Raises:
        PolicyError: the weights are those of another architecture.
    """
    own = network_of(policy).state_dict()
    weights = {
        name: own[name].index_copy(0, places.to(own[name].device), value.to(own[name]))
        if name in own and has_fewer_items(value, own[name], len(places))
        else value
        for name, value in network_of(earlier).state_dict().items()
    }
    need_tensors(weights, own)
    network_of(policy).load_state_dict(weights)
    learner.copy_to_targets()


def network_of(policy: Publishable) -> nn.Module:
    """The module with the weights that a policy stores and its learner trains; a ranking network is trained afterwards."""
    if isinstance(policy, Policy):
        return nn.ModuleDict(policy.acting_parts())
    assert isinstance(policy, nn.Module)  # noqa: S101
    return policy


def has_fewer_items(value: Tensor, own: Tensor, items: int) -> bool:
    """Whether a tensor has a row for each of `items` items, and the learner's own one has more rows."""
    if value.dim() != own.dim() or value.dim() == 0 or value.shape[1:] != own.shape[1:]:
        return False
    return len(value) == items < len(own)
