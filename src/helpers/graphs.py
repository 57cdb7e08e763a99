"""CUDA graphs: a training step recorded once and replayed, without Python between its kernels."""

from collections.abc import Callable

import torch
from torch import Tensor

#: Steps taken one by one before the recording, so that optimizer and libraries have set up.
_WARM_UP = 3
#: Optimizers that count no steps, and so can be recorded as they are.
_PLAIN = ("SGD", "Descent")


def captured(update: Callable[[Tensor], Tensor], rule, device: torch.device, batch_size: int):
    """On CUDA, ``update`` that replays its own recording; elsewhere ``update`` itself.

    ``update`` maps a tensor (E, ``batch_size``) to another and changes the weights as ``rule``, its
    optimizer, says. Its first calls are ordinary ones, on a stream of their own as a recording
    wants; then it is recorded, and every call is a replay. A smaller batch, such as an epoch's
    last, is an ordinary call. So is every call where the optimizer cannot be recorded, because it
    counts its steps in Python.
    """
    groups = getattr(rule, "param_groups", [])
    recordable = all("capturable" in group for group in groups) or type(rule).__name__ in _PLAIN
    if device.type != "cuda" or not recordable:
        return update
    for group in groups:
        if "capturable" in group:
            group["capturable"] = True
    return _Captured(update, device, batch_size)


class _Captured:
    def __init__(self, update: Callable[[Tensor], Tensor], device: torch.device, batch_size: int):
        self.update, self.batch_size = update, batch_size
        self.calls = 0
        self.stream = torch.cuda.Stream(device)
        self.graph: torch.cuda.CUDAGraph | None = None
        self.inputs: Tensor | None = None

    def __call__(self, chosen: Tensor) -> Tensor:
        if chosen.shape[1] != self.batch_size:
            return self.update(chosen)
        if self.inputs is None:
            self.inputs = chosen.clone()
        self.inputs.copy_(chosen)
        if self.calls < _WARM_UP:
            self.calls += 1
            current = torch.cuda.current_stream(chosen.device)
            self.stream.wait_stream(current)
            with torch.cuda.stream(self.stream):
                result = self.update(self.inputs)
            current.wait_stream(self.stream)
            return result
        if self.graph is None:
            self.graph = torch.cuda.CUDAGraph()
            # The outer one also brings back stream and device where a recording fails.
            with torch.cuda.stream(self.stream), torch.cuda.graph(self.graph, stream=self.stream):
                self.result = self.update(self.inputs)
        self.graph.replay()
        return self.result
