"""CUDA graphs: a training step recorded once and replayed, without Python between its kernels."""

from collections.abc import Callable

import torch
from torch import Tensor

#: Steps taken one by one before the recording, so that optimizer and libraries have set up.
_WARM_UP = 3


def captured(update: Callable[[Tensor], Tensor], rule, device: torch.device):
    """On CUDA, ``update`` that replays its own recording; elsewhere ``update`` itself.

    ``update`` maps a tensor of one shape to another and changes the weights as ``rule``, its
    optimizer, says. Its first calls are ordinary ones, on a stream of their own as a recording
    wants; then it is recorded, and every call with that shape is a replay. A call with another
    shape, such as an epoch's last and smaller batch, is an ordinary one.
    """
    if device.type != "cuda":
        return update
    for group in getattr(rule, "param_groups", []):
        if "capturable" in group:
            group["capturable"] = True
    return _Captured(update)


class _Captured:
    def __init__(self, update: Callable[[Tensor], Tensor]):
        self.update = update
        self.calls = 0
        self.stream = torch.cuda.Stream()
        self.graph: torch.cuda.CUDAGraph | None = None
        self.inputs: Tensor | None = None

    def __call__(self, chosen: Tensor) -> Tensor:
        if self.inputs is None:
            self.inputs = chosen.clone()
        if chosen.shape != self.inputs.shape:
            return self.update(chosen)
        self.inputs.copy_(chosen)
        if self.calls < _WARM_UP:
            self.calls += 1
            self.stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(self.stream):
                result = self.update(self.inputs)
            torch.cuda.current_stream().wait_stream(self.stream)
            return result
        if self.graph is None:
            self.graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self.graph):
                self.result = self.update(self.inputs)
        self.graph.replay()
        return self.result
