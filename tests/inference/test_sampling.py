import pytest
import torch
from torch import nn

from atrous.errors import InputError
from atrous.inference import monte_carlo
from atrous.models import build_model


@pytest.fixture
def model():
    torch.manual_seed(0)
    options = {"channels": 4, "dropout": "central"}
    network = build_model("segnet_basic", classes=3, options=options)
    for _ in range(3):
        network.train()(255 * torch.rand(2, 3, 32, 32))  # statistics worth keeping
    return network


@pytest.fixture
def images():
    return 255 * torch.rand(1, 3, 33, 47, generator=torch.Generator().manual_seed(1))


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


class ByHand(nn.Module):
    """Logits that are one weight per class, each dropped or doubled."""

    def __init__(self):
        super().__init__()
        self.dropout = nn.Dropout(0.5)

    def forward(self, images):
        return self.dropout(torch.ones(images.shape[0], 2, *images.shape[2:]))


def test_mean_and_variance_are_those_of_all_networks_dropout_can_draw():
    # two classes, each 0 or 2 with probability 1/2: p = 1/2 twice, sigmoid(2), sigmoid(-2)
    p = torch.tensor([0.0, 0.0, 2.0, -2.0]).sigmoid()
    mean, variance = monte_carlo(ByHand(), torch.zeros(1, 3, 100, 100), 40, generator=seeded())
    # 400,000 draws per class: the standard error of the mean is 0.0004
    assert mean.mean((0, 2, 3)).tolist() == pytest.approx([0.5, 0.5], abs=0.003)
    expected = p.var(correction=0) * 39 / 40  # the mean of 40 takes one degree of freedom
    assert variance.mean().item() == pytest.approx(expected.item(), rel=0.01)


def test_they_equal_those_of_an_explicit_loop(model, images):
    mean, variance = monte_carlo(model, images, 5, generator=seeded())
    model.eval()
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.train()
    torch.manual_seed(int(torch.randint(2**62, (), generator=seeded())))
    with torch.no_grad():
        draws = torch.stack([model(images).double().softmax(1) for _ in range(5)])
    torch.testing.assert_close(mean.double(), draws.mean(0), atol=1e-6, rtol=0)
    torch.testing.assert_close(variance.double(), draws.var(0, correction=0), atol=1e-6, rtol=0)
    assert variance.amax() > 1e-4
    assert mean.shape == variance.shape == (1, 3, 33, 47)
    assert mean.dtype == variance.dtype == torch.float32


def test_without_anything_dropped_the_variance_is_zero(model, images):
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    mean, variance = monte_carlo(model, images, 4)
    assert not variance.any()
    with torch.no_grad():
        torch.testing.assert_close(mean, model.eval()(images).softmax(1))


def test_one_sample_has_no_variance(model, images):
    mean, variance = monte_carlo(model, images, 1)
    assert not variance.any()
    torch.testing.assert_close(mean.sum(1), torch.ones(1, 33, 47))


def test_the_model_and_torchs_generator_are_left_as_they_were(model, images):
    model.train()
    model.encoders[0].eval()  # a frozen part
    modes = [module.training for module in model.modules()]
    state = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    before = torch.get_rng_state()
    mean, _ = monte_carlo(model, images, 3, generator=seeded())
    assert torch.equal(torch.get_rng_state(), before)
    assert [module.training for module in model.modules()] == modes
    assert all(torch.equal(state[key], t) for key, t in model.state_dict().items())
    assert not mean.requires_grad


def test_the_same_seed_gives_the_same_bits_and_another_does_not(model, images):
    first = monte_carlo(model, images, 3, generator=seeded(5))
    again = monte_carlo(model, images, 3, generator=seeded(5))
    other = monte_carlo(model, images, 3, generator=seeded(6))
    assert torch.equal(first[0], again[0])
    assert torch.equal(first[1], again[1])
    assert not torch.equal(first[0], other[0])
    torch.manual_seed(7)
    one, two = (monte_carlo(model, images, 3)[0] for _ in range(2))
    assert not torch.equal(one, two)
    torch.manual_seed(7)
    assert torch.equal(monte_carlo(model, images, 3)[0], one)


def test_images_of_a_batch_do_not_see_each_other():
    class Fixed(nn.Module):
        """Drops nothing by chance: dropout of whole zero maps, then batch norm."""

        def __init__(self):
            super().__init__()
            self.norm = nn.BatchNorm2d(3)
            self.dropout = nn.Dropout2d(0.5)

        def forward(self, images):
            return self.norm(images) + self.dropout(torch.zeros_like(images))

    images = torch.randn(2, 3, 8, 8)
    together = monte_carlo(Fixed(), images, 2)[0]
    assert torch.equal(together[:1], monte_carlo(Fixed(), images[:1], 2)[0])


def test_a_network_without_dropout_is_refused(images):
    with pytest.raises(InputError, match=r"Conv2d has no dropout layer.*dropout='central'"):
        monte_carlo(nn.Conv2d(3, 2, 1), images)


def test_no_sample_is_refused(model, images):
    with pytest.raises(InputError, match="samples is 0; give 1 or more"):
        monte_carlo(model, images, 0)


@pytest.mark.gpu
def test_on_a_gpu_it_is_seeded_too(model, images):
    model.cuda()
    before = torch.cuda.get_rng_state()
    one, two = (monte_carlo(model, images.cuda(), 3, generator=seeded())[0] for _ in range(2))
    assert one.is_cuda
    assert torch.equal(one, two)
    assert torch.equal(torch.cuda.get_rng_state(), before)
