"""Many networks of one architecture as one function of their stacked weights.

Measured on two CPU cores (images a second and network, summed over the networks; float32; 784 → 100
→ 100 → 10, batch 128): a loop over networks 170,000 whatever their number E; stacked by
``torch.func`` 316,000 at E = 16 and 287,000 at E = 512; the same written out by hand with
``torch.bmm`` no faster (354,000 and 286,000). One network alone loses half its speed to ``vmap``,
so it is called as it is. Convolutions stacked become grouped convolutions, which were four times
slower than one network after another. On a GPU none of this was measured.
"""

import copy
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from helpers import devices

#: A loss: logits (batch, classes, …) and labels (batch, …) to one number.
Criterion = Callable[[Tensor, Tensor], Tensor]


class Ensemble:
    """E networks of one architecture, called together.

    ``tensors`` are what an optimizer moves: the parameters themselves of a single network, and
    for several the same parameters stacked, (E, …). They are then copies: `write_back` puts them
    into the networks. Raises ValueError for no network, and for networks that differ in more than
    the values of their parameters and buffers.
    """

    def __init__(self, networks: Sequence[nn.Module], autocast: torch.dtype | None = None):
        self.networks = list(networks)
        self.autocast = autocast
        if not self.networks:
            raise ValueError("An ensemble of no networks; expected one or more.")
        kinds = {
            (repr(network), *((n, t.shape, t.dtype, t.device, t.requires_grad) for n, t in state))
            for network in self.networks
            for state in [network.state_dict(keep_vars=True).items()]
        }
        if len(kinds) > 1:
            raise ValueError(
                f"{len(self)} networks of {len(kinds)} architectures; expected the same layers, "
                "shapes, types and device in all. Train each architecture by itself."
            )
        if len(self) == 1:
            self.tensors = list(self.networks[0].parameters())
            return
        for network in self.networks:
            network.train()  # one mode in all, whichever
        self._parameters, self._buffers = torch.func.stack_module_state(self.networks)
        self.tensors = list(self._parameters.values())
        # The skeleton only says what is computed; its own weights are never read.
        self._skeleton = copy.deepcopy(self.networks[0]).to("meta")

    def __len__(self) -> int:
        return len(self.networks)

    def mode(self, training: bool) -> None:
        """Training mode, with dropout, or evaluation mode."""
        for network in self.networks if len(self) == 1 else [self._skeleton]:
            network.train(training)

    def logits(self, images: Tensor) -> Tensor:
        """What every network makes of its own batch: (E, batch, …) to (E, batch, classes, …).

        Images of shape (1, batch, …) are seen by all.
        """
        if len(self) == 1:
            return self._call(self.networks[0], images[0])[None]
        shared = len(images) == 1
        call = torch.func.vmap(
            lambda parameters, buffers, batch: self._call(
                lambda x: torch.func.functional_call(self._skeleton, (parameters, buffers), (x,)),
                batch,
            ),
            in_dims=(0, 0, None if shared else 0),
            randomness="different",
        )
        return call(self._parameters, self._buffers, images[0] if shared else images)

    def losses(self, images: Tensor, labels: Tensor, criterion: Criterion) -> Tensor:
        """Each network's loss on its own batch, (E,); labels are (E or 1, batch, …)."""
        return self._each(criterion, self.logits(images), labels)

    @torch.no_grad()
    def scores(self, images: Tensor, labels: Tensor, criterion: Criterion) -> Tensor:
        """Mean loss and share of right answers on one set for all, (E, 2), in float64.

        Networks that drop out in training don't here; NaN is never a right answer.
        """
        self.mode(training=False)
        total: Tensor | float = 0.0
        size = max(1000 // len(self), 50)
        for some, truth in zip(images.split(size), labels.split(size)):
            logits = self.logits(some[None])
            right = (logits.argmax(2) == truth) & ~logits.isnan().any(2)
            losses = self._each(criterion, logits, truth[None])
            answers = right.flatten(1).sum(1).to(losses) / truth[0].numel()
            sums = torch.stack([losses * len(truth), answers], 1)
            total = total + devices.double(sums)
        return total / len(labels)

    @torch.no_grad()
    def write_back(self) -> None:
        """Put the stacked weights and averages into the networks themselves."""
        if len(self) == 1:
            return
        for i, network in enumerate(self.networks):
            for name, tensor in (*network.named_parameters(), *network.named_buffers()):
                tensor.copy_((self._parameters | self._buffers)[name][i])

    def state(self) -> list[Tensor]:
        """Every tensor that training changes."""
        if len(self) == 1:
            return [*self.tensors, *self.networks[0].buffers()]
        return [*self.tensors, *self._buffers.values()]

    def _each(self, criterion: Criterion, logits: Tensor, labels: Tensor) -> Tensor:
        if len(self) == 1:
            return criterion(logits[0], labels[0])[None]
        return torch.func.vmap(criterion)(logits, labels.expand(len(self), *labels.shape[1:]))

    def _call(self, network: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
        if self.autocast is None:
            return network(images)
        # A weight is used once: to keep its half-precision copy would only cost memory, and a
        # captured graph must not refer to it.
        with torch.autocast(images.device.type, self.autocast, cache_enabled=False):
            return network(images).to(images.dtype)
