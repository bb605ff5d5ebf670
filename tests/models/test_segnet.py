import pytest
import torch
from torch import nn
from torch.nn import functional

from atrous.errors import InputError
from atrous.models import build_model
from atrous.models.segnet import SegNet, dropout_units


def small(**options):
    torch.manual_seed(0)
    return build_model("segnet", classes=5, options={"base_channels": 4, **options})


def parameters_of(*modules):
    return sum(p.numel() for module in modules for p in module.parameters())


@pytest.mark.parametrize(
    ("classes", "parameters"),
    [(11, 29_449_355), (12, 29_449_932), (21, 29_455_125), (37, 29_464_357), (38, 29_464_934)],
)
def test_parameters_are_those_of_the_release(classes, parameters):
    with torch.device("meta"):
        model = build_model("segnet", classes=classes)
    assert parameters_of(model) == parameters
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    assert parameters_of(*norms) == 15_872
    for part, weights in ((model.encoder, 14_714_688), (model.decoder, 14_712_448)):
        assert parameters_of(*(m for m in part.modules() if isinstance(m, nn.Conv2d))) == weights
    assert parameters_of(model.classifier) == 577 * classes


def test_the_decoder_mirrors_the_encoder_convolution_by_convolution():
    with torch.device("meta"):
        model = build_model("segnet")
    widths = [[unit.conv.out_channels for unit in stage] for stage in model.decoder]
    assert widths == [[512, 512, 512], [512, 512, 256], [256, 256, 128], [128, 64], [64]]
    convolutions = [m for m in model.modules() if isinstance(m, nn.Conv2d)]
    assert len(convolutions) == 26
    assert {(m.kernel_size, m.padding, m.bias is None) for m in convolutions} == {
        ((3, 3), (1, 1), False)
    }


def test_a_camvid_image_gives_the_sizes_of_the_release():
    found = []
    with torch.device("meta"):
        model = build_model("segnet", classes=11)
        for stage in model.decoder:
            stage.register_forward_pre_hook(lambda _, x: found.append(tuple(x[0].shape[1:])))
        main = model.score(torch.empty(1, 3, 360, 480)).main
    assert main.shape == (1, 11, 360, 480)
    assert found == [
        *((512, 23, 30), (512, 45, 60), (256, 90, 120)),
        *((128, 180, 240), (64, 360, 480)),
    ]


def by_torchs_pooling(model, x):
    """Follow Fig. 2 with torch's own layers and int64 indices."""
    poolings = []
    for layer in model.encoder.features:
        if isinstance(layer, nn.MaxPool2d):
            size = x.shape[-2:]
            x, indices = functional.max_pool2d(x, 2, 2, ceil_mode=True, return_indices=True)
            poolings.append((indices, size))
        else:
            x = layer(x)
    for stage in model.decoder:
        indices, size = poolings.pop()
        x = functional.max_unpool2d(x, indices, 2, 2, output_size=size)
        for unit in stage:
            x = unit.norm(unit.conv(x)).relu()
    return model.classifier(x)


@pytest.mark.parametrize("size", [(33, 47), (64, 96), (1, 1)])
def test_scores_are_those_of_torchs_pooling_and_unpooling(size):
    model = small().eval()
    images = torch.randn(2, 3, *size)
    with torch.no_grad():
        assert torch.equal(model.score(images).main, by_torchs_pooling(model, images))


def test_single_and_double_precision_agree():
    model = small()
    images = torch.randn(2, 3, 64, 96)
    model(images)  # statistics
    model.eval()
    with torch.no_grad():
        single = model(images).double()
        torch.testing.assert_close(single, model.double()(images.double()), atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize(
    ("units", "pooled", "decoded"),  # both in the order of the computation
    [
        ("none", "-----", "-----"),
        ("encoder", "ddddd", "-----"),
        ("decoder", "-----", "ddddd"),
        ("encoder_decoder", "ddddd", "ddddd"),
        ("central", "--ddd", "ddd--"),
        ("center", "----d", "-----"),
        ("classifier", "-----", "----d"),
    ],
)
def test_dropout_follows_the_units_of_bayesian_segnet(units, pooled, decoded):
    model = small(dropout=units)
    found = [
        "".join("d" if isinstance(layer, nn.Dropout) and layer.p == 0.5 else "-" for layer in part)
        for part in (model.pooled_dropout, model.decoded_dropout)
    ]
    assert found == [pooled, decoded]
    assert {layer.p for layer in model.modules() if isinstance(layer, nn.Dropout)} <= {0.5}


def test_of_four_units_the_central_ones_are_two_and_two():
    pooled, decoded = dropout_units("central", 4)
    assert [isinstance(layer, nn.Dropout) for layer in pooled] == [False, False, True, True]
    assert [isinstance(layer, nn.Dropout) for layer in decoded] == [True, True, False, False]


def test_dropout_acts_on_what_is_pooled_and_decoded_and_on_nothing_else():
    model = small(dropout="central").train()
    seen = []
    for name, layer in model.named_modules():
        if isinstance(layer, nn.Dropout):
            layer.register_forward_hook(lambda _, x, y, name=name: seen.append((name, x[0].shape)))
    model(torch.randn(1, 3, 64, 64))
    assert seen == [
        ("pooled_dropout.2", (1, 16, 8, 8)),
        ("pooled_dropout.3", (1, 32, 4, 4)),
        ("pooled_dropout.4", (1, 32, 2, 2)),
        ("decoded_dropout.0", (1, 32, 4, 4)),
        ("decoded_dropout.1", (1, 16, 8, 8)),
        ("decoded_dropout.2", (1, 8, 16, 16)),
    ]


@pytest.mark.parametrize(("units", "shift"), [("none", 0.001), ("central", 0.0)])
def test_weights_start_as_the_release_fills_them(units, shift):
    torch.manual_seed(0)
    model = build_model("segnet", options={"base_channels": 32, "dropout": units})
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.weight.eq(1).all()
            assert module.bias.eq(shift).all()
        elif isinstance(module, nn.Conv2d):
            assert not module.bias.any()
    deepest = model.decoder[0][0].conv.weight  # 9 x 256 incoming
    assert deepest.std().item() == pytest.approx((2 / 2304) ** 0.5, rel=0.01)


def test_it_can_be_exported():
    model, images = small().eval(), torch.randn(1, 3, 33, 47)
    program = torch.export.export(model, (images,))
    with torch.no_grad():
        torch.testing.assert_close(program.module()(images), model(images))


@pytest.mark.slow
def test_it_can_be_exported_with_free_sizes():
    model = small().eval()
    sides = {2: torch.export.Dim("height", min=33), 3: torch.export.Dim("width", min=129)}
    program = torch.export.export(
        model, (torch.randn(1, 3, 65, 161),), dynamic_shapes={"images": sides}
    )
    for size in ((65, 161), (96, 160), (47, 130)):
        images = torch.randn(1, 3, *size)
        with torch.no_grad():
            torch.testing.assert_close(program.module()(images), model(images))


def test_another_encoder_is_refused():
    with pytest.raises(InputError, match="unknown encoder of segnet 'vgg19'; did you mean vgg16"):
        build_model("segnet", encoder_name="vgg19")


def test_both_names_of_the_encoder_are_one_network():
    with torch.device("meta"):
        plain, normed = (build_model("segnet", encoder_name=name) for name in ("vgg16", "vgg16_bn"))
    shapes = [{k: v.shape for k, v in m.state_dict().items()} for m in (plain, normed)]
    assert isinstance(plain, SegNet)
    assert shapes[0] == shapes[1]
