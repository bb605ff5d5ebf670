import copy
import io

import pytest
import torch
from torch import Tensor, nn

from atrous.errors import InputError
from atrous.models.adversarial import Adversary, StanfordAdversary, basic, product, scaling

ARCHITECTURES = ("large_fov", "large_fov_light", "small_fov", "small_fov_light")
LAST_WEIGHTS = (9 * 512, 9 * 256, 512, 256)  # of one output; the ports have two


@pytest.mark.parametrize(
    ("in_channels", "parameters"),
    [
        (21, (2_351_170, 871_490, 1_572_802, 490_434)),
        (63, (2_387_458, 907_778, 1_609_090, 526_722)),
    ],
)
def test_parameters_are_those_of_the_port_but_for_its_second_output(
    in_channels: int, parameters: tuple[int, ...]
) -> None:
    with torch.device("meta"):
        for name, expected, last in zip(ARCHITECTURES, parameters, LAST_WEIGHTS, strict=True):
            adversary = Adversary(in_channels, architecture=name)  # type: ignore[arg-type]
            assert sum(p.numel() for p in adversary.parameters()) == expected - (last + 1)


def test_parameters_of_the_stanford_adversary_are_those_of_the_ports() -> None:
    with torch.device("meta"):
        adversary = StanfordAdversary(8)
    assert sum(p.numel() for p in adversary.parameters()) == 1_667_265


@pytest.mark.parametrize(("name", "cells"), list(zip(ARCHITECTURES, (34, 34, 18, 18), strict=True)))
def test_the_field_of_view_is_the_papers(name: str, cells: int) -> None:
    adversary = Adversary(2, architecture=name)  # type: ignore[arg-type]
    for index, layer in enumerate(adversary.layers):
        if isinstance(layer, nn.MaxPool2d):
            adversary.layers[index] = nn.AvgPool2d(2)  # the same windows, and no cell loses
        for parameter in layer.parameters():
            nn.init.constant_(parameter, 0.01)
    maps = torch.ones(1, 2, 48, 48, requires_grad=True)
    adversary.layers(maps)[0, 0, 6, 6].backward()
    assert maps.grad is not None
    seen = maps.grad[0, 0] > 0
    assert seen.any(0).sum() == cells
    assert seen.any(1).sum() == cells


@pytest.mark.parametrize("name", ARCHITECTURES)
@pytest.mark.parametrize("size", [(33, 47), (5, 6), (1, 1)])
def test_a_map_of_any_size_gives_one_logit_per_image(name: str, size: tuple[int, int]) -> None:
    with torch.device("meta"):
        adversary = Adversary(4, architecture=name)  # type: ignore[arg-type]
        assert adversary(torch.empty(3, 4, *size)).shape == (3,)


def test_positions_are_averaged_before_the_decision() -> None:
    torch.manual_seed(0)
    adversary = Adversary(3, architecture="small_fov_light")
    maps = torch.rand(2, 3, 9, 14)
    expected = [adversary.layers(maps[n : n + 1]).mean() for n in range(2)]
    torch.testing.assert_close(adversary(maps), torch.stack(expected))


def inputs(adversary: nn.Module) -> tuple[Tensor, ...]:
    maps = torch.rand(1, 4, 9, 12)
    return (
        (maps, torch.randn(1, 3, 33, 47)) if isinstance(adversary, StanfordAdversary) else (maps,)
    )


@pytest.fixture(params=["small_fov_light", "stanford"])
def adversary(request: pytest.FixtureRequest) -> nn.Module:
    torch.manual_seed(0)
    if request.param == "stanford":
        return StanfordAdversary(4)
    return Adversary(4, architecture=request.param)


def test_a_batch_of_one_trains_every_parameter(adversary: nn.Module) -> None:
    adversary(*inputs(adversary)).square().sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in adversary.parameters())


def test_float32_agrees_with_float64(adversary: nn.Module) -> None:
    given = inputs(adversary)
    exact = copy.deepcopy(adversary).double()(*(x.double() for x in given))
    torch.testing.assert_close(adversary(*given).double(), exact, rtol=1e-4, atol=1e-5)


def test_it_survives_saving_exporting_and_compiling(adversary: nn.Module) -> None:
    given = inputs(adversary)
    with torch.no_grad():
        expected = adversary(*given)
        file = io.BytesIO()
        torch.save(adversary.state_dict(), file)
        file.seek(0)
        second = copy.deepcopy(adversary)
        for parameter in second.parameters():
            nn.init.zeros_(parameter)
        second.load_state_dict(torch.load(file, weights_only=True))
        assert torch.equal(second(*given), expected)
        exported = torch.export.export(adversary, given).module()
        torch.testing.assert_close(exported(*given), expected)
        compiled = torch.compile(adversary, fullgraph=True, backend="eager")
        torch.testing.assert_close(compiled(*given), expected)


def test_the_stanford_adversary_wants_maps_of_a_quarter() -> None:
    adversary = StanfordAdversary(4)
    with pytest.raises(InputError, match=r"label maps are 9x11, but images of 33x47 need .* 9x12"):
        adversary(torch.rand(1, 4, 9, 11), torch.rand(1, 3, 33, 47))


def test_an_unknown_adversary_is_answered_with_the_closest() -> None:
    with pytest.raises(InputError, match="unknown adversary 'largefov'; did you mean large_fov"):
        Adversary(4, architecture="largefov")  # type: ignore[arg-type]


@pytest.fixture
def predicted() -> Tensor:
    torch.manual_seed(0)
    return (4 * torch.randn(2, 5, 6, 7)).softmax(1)


@pytest.fixture
def labels() -> Tensor:
    labels = torch.randint(0, 5, (2, 6, 7), generator=torch.Generator().manual_seed(1))
    labels[0, :2] = 255
    return labels.byte()


def test_basic_is_probabilities_and_one_hot_labels_zero_in_void(
    predicted: Tensor, labels: Tensor
) -> None:
    maps = basic(predicted, labels)
    for n, y, x in torch.cartesian_prod(torch.arange(2), torch.arange(6), torch.arange(7)):
        label = int(labels[n, y, x])
        fake, real = torch.zeros(5), torch.zeros(5)
        if label != 255:
            fake, real[label] = predicted[n, :, y, x], 1.0
        assert torch.equal(maps.predicted[n, :, y, x], fake)
        assert torch.equal(maps.true[n, :, y, x], real)


def test_product_is_the_image_once_per_class(predicted: Tensor, labels: Tensor) -> None:
    images = torch.randn(2, 3, 6, 7)
    maps, plain = product(predicted, labels, images), basic(predicted, labels)
    for y, map_ in zip(maps, plain, strict=True):
        assert y.shape == (2, 15, 6, 7)
        for colour in range(3):
            for label in range(5):
                expected = images[:, colour] * map_[:, label]
                assert torch.equal(y[:, colour * 5 + label], expected)
    whole = maps.true.unflatten(1, (3, 5)).sum(2)
    torch.testing.assert_close(whole, images * (labels != 255)[:, None])


def test_scaling_gives_the_truth_tau_and_shares_the_rest(predicted: Tensor, labels: Tensor) -> None:
    maps = scaling(predicted, labels, tau=0.9)
    surer = 0
    for n, y, x in torch.cartesian_prod(torch.arange(2), torch.arange(6), torch.arange(7)):
        label, s = int(labels[n, y, x]), predicted[n, :, y, x]
        found = maps.true[n, :, y, x]
        if label == 255:
            assert not found.any()
            continue
        share = max(0.9, float(s[label]))
        expected = torch.tensor(
            [
                share if k == label else float(s[k]) * (1 - share) / (1 - float(s[label]))
                for k in range(5)
            ]
        )
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)
        assert found.sum().item() == pytest.approx(1.0, abs=1e-5)
        assert int(found.argmax()) == label
        surer += share > 0.9
    assert surer > 3  # both branches were seen
    assert torch.equal(maps.predicted, basic(predicted, labels).predicted)


def test_scaling_bears_a_prediction_that_is_certain() -> None:
    certain = torch.tensor([1.0, 0.0]).view(1, 2, 1, 1)
    for label, expected in ((0, [1.0, 0.0]), (1, [0.1, 0.9])):
        maps = scaling(certain, torch.tensor([[[label]]]))
        torch.testing.assert_close(maps.true.flatten(), torch.tensor(expected))


def test_only_the_prediction_has_a_gradient(labels: Tensor) -> None:
    scores = torch.randn(2, 5, 6, 7, requires_grad=True)
    images = torch.randn(2, 3, 6, 7)
    soft = scores.softmax(1)
    for maps in (basic(soft, labels), product(soft, labels, images), scaling(soft, labels)):
        assert maps.predicted.requires_grad
        assert not maps.true.requires_grad


def test_sizes_that_differ_are_named(predicted: Tensor, labels: Tensor) -> None:
    with pytest.raises(InputError, match="labels are 5x7, the probabilities 6x7"):
        basic(predicted, labels[:, :5])
    with pytest.raises(InputError, match="images are 12x14, the probabilities 6x7; resize"):
        product(predicted, labels, torch.zeros(2, 3, 12, 14))


def test_an_adversary_soon_tells_soft_maps_from_one_hot_ones(
    predicted: Tensor, labels: Tensor
) -> None:
    # the weakness of Basic that Scaling was made for
    torch.manual_seed(0)
    adversary = Adversary(5, architecture="small_fov_light")
    optimizer = torch.optim.Adam(adversary.parameters(), lr=1e-3)
    soft = (predicted + 0.2).div(2)
    maps = torch.cat(list(basic(soft, labels)))
    truth = torch.tensor([0.0, 0.0, 1.0, 1.0])
    for _ in range(40):
        optimizer.zero_grad()
        nn.functional.binary_cross_entropy_with_logits(adversary(maps), truth).backward()
        optimizer.step()
    assert torch.equal(adversary(maps) > 0, truth.bool())
