"""What may be done to a batch of images before a network is trained on it, by name."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F


def crop_and_flip(images: Tensor) -> Tensor:
    """Shift every image by up to an eighth of its side, and mirror half of them.

    ``images``: (..., channels, height, width), with zeros beyond their borders; the result has
    the same shape. It is the augmentation of He et al. 2016, who shift 32 pixels by up to 4.
    Draws from the device's global generator, three numbers an image.
    """
    flat, device = images.flatten(0, -4), images.device
    (count, _, height, width), margin = flat.shape, images.shape[-1] // 8
    down, right = torch.randint(2 * margin + 1, (2, count, 1), device=device)
    rows, columns = (
        shift + torch.arange(side, device=device)
        for shift, side in ((down, height), (right, width))
    )
    mirrored = torch.randint(2, (count, 1), device=device).bool()
    columns = torch.where(mirrored, columns.flip(1), columns)
    each = torch.arange(count, device=device)[:, None, None]
    padded = F.pad(flat, [margin] * 4)
    # The channels come out last in memory, as the convolutions like them.
    return padded[each, :, rows[:, :, None], columns[:, None]].movedim(-1, 1).view(images.shape)


#: The augmentations by name, each a function of a batch of images.
AUGMENTATIONS: dict[str, Callable[[Tensor], Tensor]] = {"crop-and-flip": crop_and_flip}
