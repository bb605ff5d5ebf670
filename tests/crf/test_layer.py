"""CRF-as-RNN: gradients against finite differences, and training that moves the weights."""

import numpy as np
import pytest
import torch
from torch.func import functional_call
from torch.nn import functional

from atrous import DenseCRF, InputError
from atrous.crf import Appearance, CRFLayer, Smoothness

from .conftest import made_image, smooth_probabilities

PARAMETERS = ("appearance_weight", "smoothness_weight", "compatibility")


def batch(height, width, num_labels=3, count=2):
    images = np.stack([made_image(height, width, seed) for seed in range(count)])
    unary = [smooth_probabilities(num_labels, height, width, seed) for seed in range(count)]
    return torch.from_numpy(images).permute(0, 3, 1, 2), torch.from_numpy(np.stack(unary)).log()


@pytest.mark.parametrize("kind", ["exact", "lattice"])
def test_gradients_of_unaries_weights_and_compatibility(kind):
    images, logits = batch(4, 5)
    appearance = Appearance(4, 8, 20)
    layer = CRFLayer(3, appearance, iterations=3, filter=kind).double()
    torch.manual_seed(0)
    weights = [
        (layer.get_parameter(name).detach() + torch.rand(())).requires_grad_()
        for name in PARAMETERS
    ]

    def forward(logits, *weights):
        given = dict(zip(PARAMETERS, weights, strict=True))
        return functional_call(layer, given, (logits, images))

    assert torch.autograd.gradcheck(forward, (logits.double().requires_grad_(), *weights))


@pytest.mark.parametrize("kind", ["exact", "lattice"])
def test_the_layer_is_the_crf(kind):
    images, logits = batch(12, 17)
    appearance, smoothness = Appearance(4, 8, 20), Smoothness(2, 3)
    layer = CRFLayer(3, appearance, smoothness=smoothness, iterations=4, filter=kind)
    crf = DenseCRF(appearance, smoothness, iterations=4, filter=kind)

    q = layer(logits, images).detach().exp()

    for image, unary, one in zip(images, logits.exp(), q, strict=True):
        expected = crf(image.permute(1, 2, 0), unary)
        torch.testing.assert_close(one, expected, atol=2e-4, rtol=0)


def test_the_lattice_s_gradient_is_near_the_exact_one():
    images, logits = batch(24, 24)
    gradients = []
    for kind in ("exact", "lattice"):
        layer = CRFLayer(3, Appearance(2, 12, 30), iterations=2, filter=kind)
        layer(logits, images)[:, 0].mean().backward()
        gradients.append(torch.cat([layer.appearance_weight.grad, layer.compatibility.grad[0]]))

    similarity = functional.cosine_similarity(*gradients, dim=0)
    assert similarity > 0.98


def test_training_moves_the_weights_and_raises_the_accuracy():
    """Noisy unaries of coloured halves: the layer learns to trust the image."""
    torch.manual_seed(0)
    labels = torch.zeros(2, 16, 16, dtype=torch.long)
    labels[0, :, 7:] = 1
    labels[1, 5:] = 1
    images = (60 + 120 * labels)[:, None].expand(-1, 3, -1, -1) + 10 * torch.randn(2, 3, 16, 16)
    images = images.clamp(0, 255)
    signs = functional.one_hot(labels, 2).permute(0, 3, 1, 2).float()
    logits = signs + 1.5 * torch.randn(2, 2, 16, 16)
    layer = CRFLayer(2, Appearance(0.1, 20, 30), smoothness=Smoothness(0.1, 2), iterations=3)
    before = {name: layer.get_parameter(name).detach().clone() for name in PARAMETERS}
    optimizer = torch.optim.Adam(layer.parameters(), lr=0.1)

    def accuracy():
        return (layer(logits, images).argmax(1) == labels).float().mean().item()

    at_first = accuracy()
    for _ in range(30):
        optimizer.zero_grad()
        functional.cross_entropy(layer(logits, images), labels).backward()
        optimizer.step()

    for name in PARAMETERS:
        assert not torch.equal(layer.get_parameter(name), before[name])
    assert at_first < 0.8
    assert accuracy() > 0.95


def test_wrong_sizes_are_refused():
    images, logits = batch(6, 7)
    for wrong in (images[:1], images[..., 1:], images[:, :, 1:], images[0]):
        with pytest.raises(InputError, match=r"need \(2, C, 6, 7\)"):
            CRFLayer(3)(logits, wrong)
    with pytest.raises(InputError, match="num_classes is 1"):
        CRFLayer(1)
