import torch
from torch.nn import functional as F

from helpers import training
from helpers.augmentation import crop_and_flip


def test_every_image_is_shifted_within_its_borders_and_half_are_mirrored():
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(2, 500, 3, 16, 20, generator=generator)  # for two networks at once
    torch.manual_seed(0)
    changed = crop_and_flip(images)
    assert changed.shape == images.shape
    padded = F.pad(images.flatten(0, 1), [2] * 4)
    windows = [
        padded[:, :, top : top + 16, left : left + 20] for top in range(5) for left in range(5)
    ]
    candidates = torch.stack(windows + [window.flip(3) for window in windows])
    found = (candidates == changed.flatten(0, 1)).flatten(2).all(2)
    assert found.any(0).all()
    # Fifty ways with equal chances: 20 of 1,000 images each, within 4.5 standard errors.
    assert (found.sum(1) - 20).abs().max() < 4.5 * (1000 * 0.02 * 0.98) ** 0.5


def test_training_on_changed_images_is_decided_by_the_generator():
    images = torch.rand(20, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(20) % 2

    def losses(augment, noise):
        torch.manual_seed(noise)
        network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 2))
        for parameter in network.parameters():
            torch.nn.init.constant_(parameter, 0.1)
        network[1].weight.data[0, :32] = -0.1
        generator = torch.Generator().manual_seed(1)
        options = {"epochs": 2, "batch_size": 10, "optimizer": training.sgd(0.1)}
        table = training.train(
            network, images, labels, generator=generator, augment=augment, **options
        )
        return table.value.tolist()

    assert losses("crop-and-flip", 0) == losses("crop-and-flip", 1)
    assert losses("crop-and-flip", 0) != losses(None, 0)
