"""What a reader chooses in the laboratory, and what theory would choose."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from helpers import checks
from helpers.activations import ACTIVATIONS
from helpers.initializers import SCHEMES, variance
from helpers.laboratory import examples

#: The networks by name, and what each is.
NETWORKS: dict[str, str] = {
    "perceptron": "every hidden layer feeds the next",
    "batch normalization": "every hidden layer is normalized over the batch",
    "residual": "every layer adds to what it gets: x + W φ(x)",
    "lstm": "reads the rows of an image one after another, 28 steps",
}
#: The narrowest and the widest hidden layer.
WIDTHS = (1, 512)
#: The smallest and the largest number of hidden layers.
DEPTHS = (1, 50)
#: Seeds are below this.
SEEDS = 2**31


@dataclass(frozen=True)
class Settings:
    """One network with its first weights, and the data that flow through it.

    ``network`` is a key of `NETWORKS`; ``data`` is digits, noise, mnist or fashion-mnist, the last
    two if they are on this computer. ``activation`` is a key of `helpers.activations.ACTIVATIONS`,
    ``scheme`` one of `helpers.initializers.SCHEMES`; ``sigma`` is used by those that leave σ to the
    user, and by no other. The LSTM takes ``width``, ``data``, ``seed`` and ``forget``, the bias of
    its forget gates; all others take all but that. Raises ValueError for an unknown name, a number
    out of range (`WIDTHS`, `DEPTHS`, a sigma that is not above 0), and a scheme that the network
    can't take.
    """

    network: str = "perceptron"
    scheme: str = "he"
    sigma: float = 0.1
    width: int = 100
    depth: int = 5
    activation: str = "relu"
    data: str = "digits"
    seed: int = 0
    forget: float = 1.0

    def __post_init__(self):
        checks.known("network", self.network, NETWORKS)
        checks.known("scheme", self.scheme, SCHEMES)
        checks.known("activation", self.activation, ACTIVATIONS)
        checks.known("data", self.data, examples.NAMES)
        checks.positive("sigma", self.sigma)
        for what, (low, high) in (("width", WIDTHS), ("depth", DEPTHS)):
            if not low <= checks.count(what, getattr(self, what)) <= high:
                raise ValueError(f"{what} is {getattr(self, what)}; expected {low} to {high}.")
        if self.seed != 0 and not checks.count("seed", self.seed) < SEEDS:
            raise ValueError(f"seed is {self.seed}; expected a whole number below {SEEDS}.")
        checks.nonnegative("the size of forget", abs(self.forget))
        if self.scheme == "rai" and self.network == "batch normalization":
            raise ValueError(
                "The scheme 'rai' draws weights and biases together, and layers in front of a "
                "batch normalization have no bias. Take another scheme, or the perceptron."
            )

    @property
    def recurrent(self) -> bool:
        """Is it the LSTM, for which σ, scheme, depth and activation mean nothing?"""
        return self.network == "lstm"

    @property
    def free(self) -> bool:
        """Does σ decide? Only where the scheme does not set it."""
        return not self.recurrent and SCHEMES[self.scheme].fan is None

    @property
    def options(self) -> dict[str, float]:
        """What `initializers.initialize` needs beside the scheme's name."""
        return {"sigma": self.sigma} if self.free else {}

    def __str__(self) -> str:
        if self.recurrent:
            drawn = f"LSTM of {self.width} units, forget bias {self.forget:.3g}"
        else:
            kind = {"batch normalization": ", batch-normalized", "residual": ", residual"}
            scheme = f"{self.scheme}, σ = {self.sigma:.3g}" if self.free else self.scheme
            layers = "layer" if self.depth == 1 else "layers"
            drawn = f"{self.depth} {layers} of {self.width}{kind.get(self.network, '')}, "
            drawn += f"{self.activation}, {scheme}"
        return f"{drawn}; {self.data}, seed {self.seed}"


#: What theory names, of σ between layers of one width, by label.
SIGMAS: dict[str, Callable[[int], float]] = {
    "Glorot": lambda width: math.sqrt(variance("glorot", width, width)),
    "He": lambda width: math.sqrt(variance("he", width, width)),
    "PyTorch": lambda width: math.sqrt(variance("pytorch", width, width)),
}
#: What is usual, and what theory names, for the bias of forget gates, by label.
FORGETS: dict[str, float] = {"0": 0.0, "usual: 1": 1.0, "ln 28": math.log(28)}
