"""Optimizers by name, each a function of its learning rate that makes one from parameters."""

import functools
from collections.abc import Callable, Iterator

import torch
from torch import nn

from helpers import checks


class Descent:
    """Plain gradient descent, with the interface of an optimizer of ``torch.optim``.

    It stands here because the first optimizer of ``torch.optim`` imports for 2.4 s and 130 MB,
    which is longer than a notebook's whole training.
    """

    def __init__(self, parameters: Iterator[nn.Parameter], rate: float):
        self.param_groups = [{"params": list(parameters), "lr": rate}]

    @torch.no_grad()
    def step(self) -> None:
        """Subtract the learning rate times the gradient from every parameter that has one."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    parameter -= group["lr"] * parameter.grad

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for group in self.param_groups:
            for parameter in group["params"]:
                parameter.grad = None

    def state_dict(self) -> dict:
        """Return an empty dict: there is nothing to remember."""
        return {}

    def load_state_dict(self, state: dict) -> None:
        """Do nothing: there is nothing to remember."""
        pass


def sgd(rate: float) -> Callable:
    """Return plain gradient descent at a learning rate, as `helpers.training.train` wants it.

    Raises ValueError for a rate that is not a finite number above zero; so do the others here.
    """
    return functools.partial(Descent, rate=checks.positive("learning rate", rate))


def rmsprop(rate: float) -> Callable:
    """Return RMSprop with Keras's constants: decay 0.9, epsilon 1e-7."""
    rate = checks.positive("learning rate", rate)
    return lambda parameters: torch.optim.RMSprop(parameters, lr=rate, alpha=0.9, eps=1e-7)


def momentum(rate: float) -> Callable:
    """Return descent with momentum 0.9 and weight decay 1e-4, as in He et al. 2016."""
    rate = checks.positive("learning rate", rate)
    return lambda parameters: torch.optim.SGD(parameters, lr=rate, momentum=0.9, weight_decay=1e-4)


def adam(rate: float) -> Callable:
    """Return Adam with its authors' constants."""
    rate = checks.positive("learning rate", rate)
    return lambda parameters: torch.optim.Adam(parameters, lr=rate)


#: The optimizers by name, each a function of the learning rate.
OPTIMIZERS: dict[str, Callable[[float], Callable]] = {
    "sgd": sgd,
    "rmsprop": rmsprop,
    "momentum": momentum,
    "adam": adam,
}
