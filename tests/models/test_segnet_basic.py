import pytest
import torch
from torch import nn
from torch.nn import functional

from atrous.errors import InputError
from atrous.models import build_model
from atrous.models.segnet_basic import DECODERS
from atrous.ops import normalise

# Table 1 counts weights of convolutions alone; K = 11 and 21.
PARAMETERS = {
    "max_unpool": (1_415_040, 1_415_680),
    "encoder_addition": (1_415_040, 1_415_680),
    "encoder_addition_before_pooling": (1_415_040, 1_415_680),
    "single_channel": (624_768, 625_408),
    "bilinear": (612_224, 612_864),
    "fcn": (645_312, 729_792),
    "fcn_no_addition": (643_200, 725_760),
    "fcn_no_dim_reduction": (1_660_800, 1_661_440),
    "fcn_no_addition_no_dim_reduction": (1_660_800, 1_661_440),
}


def small(decoder="max_unpool", **options):
    torch.manual_seed(0)
    return build_model(
        "segnet_basic", classes=3, options={"channels": 4, "decoder": decoder, **options}
    )


def weights(model):
    return sum(p.numel() for name, p in model.named_parameters() if ".norm." not in name)


@pytest.mark.parametrize("decoder", DECODERS)
def test_parameters_are_those_of_table_1(decoder):
    with torch.device("meta"):
        found = tuple(
            weights(build_model("segnet_basic", classes=k, options={"decoder": decoder}))
            for k in (11, 21)
        )
    assert found == PARAMETERS[decoder]


def test_biases_and_norms_are_those_of_the_release():
    with torch.device("meta"):
        models = [build_model("segnet_basic", classes=k, options={"bias": True}) for k in (11, 21)]
    assert [weights(model) for model in models] == [1_415_563, 1_416_213]
    assert sum(p.numel() for p in models[0].parameters()) == 1_415_563 + 1_024


def pooled(x):
    return functional.max_pool2d(x, 2, 2, ceil_mode=True, return_indices=True)


def by_the_paper(model, images, decoder):
    """Compute Sec. 3.1's text with torch's own layers, one variant after the other."""
    square = torch.stack([functional.pad(images**2, (0, 0, 0, 0, 2, 2))[:, c : c + 5].sum(1)
                          for c in range(images.shape[1])], 1)  # fmt: skip
    x = images / (1 + 1e-4 / 5 * square) ** 0.75
    before, after, indices = [], [], []
    for encode in model.encoders:
        x = encode.norm(encode.conv(x)).relu()
        before.append(x)
        x, index = pooled(x)
        after.append(x)
        indices.append(index)
    is_fcn, reduced = decoder.startswith("fcn"), decoder in ("bilinear", "fcn", "fcn_no_addition")
    if reduced:
        x = model.reduce(x)
    for number, decode in enumerate(model.decoders):
        stage = 3 - number
        size = before[stage].shape[-2:]
        if is_fcn:
            x = functional.conv_transpose2d(x, decode.upsample.weight, stride=2, padding=3)
            x = x[..., : size[0], : size[1]]
        elif decoder == "bilinear":
            x = functional.interpolate(x, size, mode="bilinear")
        else:
            x = functional.max_unpool2d(x, indices[stage], 2, 2, output_size=size)
            x = decode.refine.norm(decode.refine.conv(x))
        if decoder == "encoder_addition_before_pooling":
            x = x + before[stage]
        if decoder in ("encoder_addition", "fcn_no_dim_reduction") and stage > 0:
            x = x + after[stage - 1]
        if decoder == "fcn" and stage > 0:
            x = x + functional.conv2d(after[stage - 1], model.skips[stage - 1].weight)
    return x if reduced else functional.conv2d(x, model.classifier.weight)


@pytest.mark.parametrize("decoder", DECODERS)
def test_every_variant_computes_what_the_paper_says(decoder):
    model = small(decoder)
    images = 255 * torch.rand(2, 3, 45, 60)
    model(images)  # statistics
    model.eval()
    with torch.no_grad():
        expected = by_the_paper(model, images, decoder)
        torch.testing.assert_close(model.score(images).main, expected, atol=1e-4, rtol=1e-4)


def test_a_camvid_image_gives_the_sizes_of_the_release():
    found = []
    with torch.device("meta"):
        model = build_model("segnet_basic", classes=11)
        for decode in model.decoders:
            decode.register_forward_hook(lambda _, __, y: found.append(tuple(y.shape[2:])))
        assert model.score(torch.empty(1, 3, 360, 480)).main.shape == (1, 11, 360, 480)
    assert found == [(45, 60), (90, 120), (180, 240), (360, 480)]


def test_a_cell_behind_the_encoders_sees_106_pixels():
    # NaN survives convolutions, ReLU and pooling: it marks every cell that sees its pixel.
    model = small().eval()
    images = torch.zeros(160, 3, 160, 16)
    images[torch.arange(160), :, torch.arange(160)] = torch.nan
    x = images
    with torch.no_grad():
        for encode in model.encoders:
            x = pooled(encode(x))[0]
    assert int(x[:, 0, 5, 0].isnan().sum()) == 106


@pytest.mark.parametrize("decoder", ["fcn", "fcn_no_dim_reduction"])
def test_learned_upsampling_begins_as_bilinear_interpolation(decoder):
    upsample = small(decoder).decoders[0].upsample
    assert upsample.weight.requires_grad
    x = torch.randn(1, upsample.in_channels, 6, 7)
    expected = functional.interpolate(x, scale_factor=2, mode="bilinear")
    inner = (..., slice(2, -2), slice(2, -2))  # zeros, not edges, lie outside
    torch.testing.assert_close(upsample(x)[inner], expected[inner])


def test_images_come_as_0_to_255_for_the_response_normalisation():
    model = small()
    pixels = torch.randint(0, 256, (1, 3, 4, 5), dtype=torch.uint8)
    torch.testing.assert_close(normalise(pixels, model.normalization), pixels.float())


def test_only_what_a_variant_adds_is_kept():
    kept = {decoder: len(small(decoder).skips) for decoder in DECODERS}
    assert kept.pop("encoder_addition_before_pooling") == 4
    with_addition = {"encoder_addition", "fcn", "fcn_no_dim_reduction"}
    assert {decoder for decoder, count in kept.items() if count == 3} == with_addition
    assert {count for decoder, count in kept.items() if decoder not in with_addition} == {0}


def test_there_is_no_relu_in_the_decoder():
    model = small()
    assert not [m for m in model.decoders.modules() if isinstance(m, nn.ReLU)]
    assert len([m for m in model.encoders.modules() if isinstance(m, nn.ReLU)]) == 4


def test_bayesian_segnet_basic_drops_in_the_central_four_units():
    model = small(dropout="central")
    drops = [name for name, layer in model.named_modules() if isinstance(layer, nn.Dropout)]
    assert drops == [
        *("pooled_dropout.2", "pooled_dropout.3"),
        *("decoded_dropout.0", "decoded_dropout.1"),
    ]


def test_norms_start_as_the_release_fills_them():
    for units in ("none", "central"):
        norms = [m for m in small(dropout=units).modules() if isinstance(m, nn.BatchNorm2d)]
        assert all(norm.bias.eq(0.001).all() and norm.weight.eq(1).all() for norm in norms)
        assert len(norms) == 8


@pytest.mark.parametrize("decoder", ["max_unpool", "bilinear", "fcn"])
def test_it_can_be_exported(decoder):
    model, images = small(decoder).eval(), 255 * torch.rand(1, 3, 33, 47)
    program = torch.export.export(model, (images,))
    with torch.no_grad():
        torch.testing.assert_close(program.module()(images), model(images))


def test_an_encoder_is_refused():
    with pytest.raises(InputError, match="segnet_basic has encoders of its own, not vgg16"):
        build_model("segnet_basic", encoder_name="vgg16")


def test_a_misspelt_decoder_is_answered():
    with pytest.raises(InputError, match="decoder of segnet_basic is 'unpool'; give 'max_unpool'"):
        build_model("segnet_basic", options={"decoder": "unpool"})
