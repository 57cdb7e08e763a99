"""Losses by name, each a function of logits and labels that returns one number."""

from collections.abc import Callable

from torch import Tensor
from torch.nn import functional as F

#: How near to 0 or 1 a probability may come before it is clipped, as in Keras.
CLIP = 1e-7


def clipped_cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean cross-entropy of softmax probabilities that are first clipped to [1e-7, 1 - 1e-7].

    ``logits`` has shape (batch, classes), ``labels`` (batch,). The loss of one example is at most
    -ln 1e-7 = 16.118, and an example that is clipped has gradient zero: it teaches nothing. This
    is what Keras computed on a softmax output when the article was written.
    """
    probability = logits.softmax(1).gather(1, labels[:, None])
    return -probability.clamp(CLIP, 1 - CLIP).log().mean()


#: The losses by name, each a function of logits and labels.
LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "clipped": clipped_cross_entropy,
    "logits": F.cross_entropy,
}
