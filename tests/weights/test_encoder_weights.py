import math
from functools import partial

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch.nn import functional

from atrous.encoders import create_encoder
from atrous.errors import InputError
from atrous.weights import load_encoder_weights
from atrous.weights.encoder_weights import adapt_channels


def with_random_statistics(network, seed=0):
    """Make batch norm more than the identity, so that a swapped tensor shows."""
    generator = torch.Generator().manual_seed(seed)
    for name, buffer in network.named_buffers():
        if buffer.is_floating_point():
            offset = 0.5 if name.endswith("var") else -0.5
            buffer.copy_(torch.rand(buffer.shape, generator=generator) + offset)
    return network.eval()


def file_of(network, path, **remarks):
    save_file({k: v.contiguous() for k, v in network.state_dict().items()}, path, remarks or None)
    return path


def features(network, images):
    with torch.no_grad():
        return network(images)


def test_torchvisions_mobilenet_gives_torchvisions_features(tmp_path):
    from torchvision.models import mobilenet_v2

    theirs = with_random_statistics(mobilenet_v2(weights=None))
    ours = create_encoder("mobilenet_v2").eval()
    images = torch.randn(1, 3, 65, 97)

    load_encoder_weights(ours, file_of(theirs, tmp_path / "w.safetensors"))

    expected = features(theirs.features[:18], images)
    assert torch.equal(features(ours, images)[-1], expected)


def test_timms_mobilenet_at_half_width_gives_timms_features(tmp_path):
    import timm

    theirs = with_random_statistics(timm.create_model("mobilenetv2_050", features_only=True))
    whole = timm.create_model("mobilenetv2_050")
    whole.load_state_dict(theirs.state_dict(), strict=False)
    ours = create_encoder("mobilenet_v2_050").eval()
    images = torch.randn(1, 3, 64, 96)

    load_encoder_weights(ours, file_of(whole, tmp_path / "w.safetensors"))

    for mine, reference in zip(features(ours, images), features(theirs, images), strict=True):
        torch.testing.assert_close(mine, reference, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_torchvisions_resnet_fills_timms_pyramid(tmp_path, suffix):
    from torchvision.models import resnet18

    theirs = with_random_statistics(resnet18(weights=None))
    path = tmp_path / f"resnet18{suffix}"
    if suffix == ".pth":  # as a training script with data parallelism leaves it
        state = {f"module.{key}": tensor for key, tensor in theirs.state_dict().items()}
        torch.save({"epoch": 3, "state_dict": state}, path)
    else:
        file_of(theirs, path)
    ours = create_encoder("resnet18").eval()
    images = torch.randn(1, 3, 64, 64)

    load_encoder_weights(ours, path, name="resnet18")

    x = theirs.maxpool(theirs.relu(theirs.bn1(theirs.conv1(images))))
    expected = theirs.layer4(theirs.layer3(theirs.layer2(theirs.layer1(x)))).detach()
    torch.testing.assert_close(features(ours, images)[-1], expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", ["efficientnet_b0", "convnext_atto", "ghostnet_050"])
def test_a_timm_classifier_fills_the_pyramid_of_the_same_name(tmp_path, name):
    import timm

    whole = with_random_statistics(timm.create_model(name))
    ours = create_encoder(name).eval()

    load_encoder_weights(ours, file_of(whole, tmp_path / "w.safetensors"), name=name)

    values = {float(t.double().sum()) for t in whole.state_dict().values() if t.numel() > 1}
    for tensor in ours.state_dict().values():
        assert tensor.numel() == 1 or float(tensor.double().sum()) in values


def test_vggs_fully_connected_layers_become_fcns_convolutions(tmp_path):
    from atrous.encoders.vgg import VGG16, fully_convolutional

    source = VGG16(classifier=fully_convolutional(8))
    state = dict(source.state_dict())
    for key in ("classifier.0.weight", "classifier.3.weight"):
        state[key] = state[key].flatten(1)  # as torchvision stores them
    state["classifier.6.weight"] = torch.zeros(1000, 8)
    save_file(state, tmp_path / "vgg.safetensors")
    target = VGG16(classifier=fully_convolutional(8))

    load_encoder_weights(target, tmp_path / "vgg.safetensors", name="vgg16")

    for key, tensor in source.state_dict().items():
        assert torch.equal(target.state_dict()[key], tensor)


def thin(network):
    """Take an eighth of all channels but the image's: the same graph, 64 times cheaper."""
    for module in network.modules():
        if isinstance(module, torch.nn.Conv2d | torch.nn.Linear):
            outs, ins, *kernel = module.weight.shape
            shape = (outs // 8, ins if ins == 3 else ins // 8, *kernel)
            spread = (2 / math.prod(shape[1:])) ** 0.5
            module.weight = torch.nn.Parameter(spread * torch.randn(shape))
            module.bias = torch.nn.Parameter(torch.randn(outs // 8) / 9)
    return network.eval()


def classifier_and_its_twin(name, slim):
    """Return torchvision's classifier with random weights, and FCN's encoder for its file."""
    import torchvision

    from atrous.encoders import alexnet, vgg

    build, fully = {
        "alexnet": (partial(alexnet.AlexNet, first_padding=2), alexnet.fully_convolutional),
        "vgg16": (vgg.VGG16, vgg.fully_convolutional),
        "vgg19": (vgg.VGG19, vgg.fully_convolutional),
    }[name]
    torch.manual_seed(0)
    with torch.device("meta"):
        theirs = getattr(torchvision.models, name)()
        ours = build(classifier=fully())
    return slim(theirs), slim(ours)


def filled(network):
    """Give a network without memory random weights, faster than its own initialisation does."""
    network.to_empty(device="cpu")
    for parameter in network.parameters():
        fan_in = parameter[0].numel() if parameter.ndim > 1 else 100
        torch.nn.init.uniform_(parameter, -((6 / fan_in) ** 0.5), (6 / fan_in) ** 0.5)
    return network.eval()


@pytest.mark.parametrize("name", ["alexnet", "vgg16", "vgg19"])
@pytest.mark.parametrize("slim", [thin, pytest.param(filled, marks=pytest.mark.slow)])
def test_the_convolutional_net_equals_the_classifier_on_a_crop_of_224(tmp_path, name, slim):
    theirs, ours = classifier_and_its_twin(name, slim)

    load_encoder_weights(ours, file_of(theirs, tmp_path / "w.safetensors"), name=name)

    images = torch.randn(2, 3, 224, 224)
    with torch.no_grad():
        fc7 = ours.classifier(ours(images)[-1])
        assert fc7.shape[-2:] == (1, 1)
        found = theirs.classifier[-1](fc7.flatten(1))
        torch.testing.assert_close(found, theirs(images), atol=1e-4, rtol=1e-4)


def test_googlenet_and_its_mean_equal_the_classifier_on_a_crop_of_224(tmp_path):
    from torchvision.models import googlenet

    theirs = with_random_statistics(googlenet(aux_logits=True, init_weights=False))
    ours = create_encoder("googlenet").eval()

    load_encoder_weights(ours, file_of(theirs, tmp_path / "w.safetensors"), name="googlenet")

    images = torch.randn(2, 3, 224, 224)
    with torch.no_grad():
        found = theirs.fc(ours(images)[-1].mean((2, 3)))
        torch.testing.assert_close(found, theirs(images), atol=1e-4, rtol=1e-4)


def test_wider_layers_behind_the_features_keep_their_own_start(tmp_path):
    from atrous.encoders.vgg import VGG16, fully_convolutional

    path = file_of(VGG16(classifier=fully_convolutional(4)), tmp_path / "vgg.safetensors")
    target = VGG16(classifier=fully_convolutional(8))
    before = target.classifier[0].weight.clone()
    load_encoder_weights(target, path, name="vgg16")
    assert torch.equal(target.classifier[0].weight, before)


@pytest.mark.parametrize(
    ("kernel_size", "width", "taps", "filters"),
    [
        (7, 7, range(7), range(7)),
        (4, 7, (0, 2, 4, 6), range(7)),
        (3, 3, (0, 3, 6), (0, 3, 6)),
    ],
)
def test_deeplabs_fc6_and_fc7_keep_taps_and_filters_of_vggs(
    tmp_path, kernel_size, width, taps, filters
):
    from atrous.encoders.vgg import VGG16, fully_convolutional
    from atrous.models.deeplab_v1 import Fc6, HoleVGG16, fc6_fc7

    source = VGG16(classifier=fully_convolutional(7))
    fc6, fc7 = source.classifier[0].weight, source.classifier[3].weight
    state = source.state_dict()
    for key in ("classifier.0.weight", "classifier.3.weight"):
        state[key] = state[key].flatten(1)  # as torchvision stores them
    state["classifier.0.bias"], state["classifier.3.bias"] = torch.rand(2, 7)
    save_file(state, tmp_path / "vgg.safetensors")
    heads = [fc6_fc7(Fc6(kernel_size, rate, width)) for rate in (6, 12)]
    alone = HoleVGG16(classifier=heads[0])
    several = HoleVGG16(classifier=torch.nn.ModuleList(heads))

    for target in (alone, several):
        for head in heads:
            torch.nn.init.zeros_(head[0].weight)
        load_encoder_weights(target, tmp_path / "vgg.safetensors", name="vgg16")
        for head in heads if target is several else heads[:1]:
            for i, out in enumerate(filters):
                assert head[0].bias[i] == state["classifier.0.bias"][out]
                for j, row in enumerate(taps):
                    for k, column in enumerate(taps):
                        assert torch.equal(head[0].weight[i, :, j, k], fc6[out, :, row, column])
                for j, incoming in enumerate(filters):
                    assert head[3].weight[i, j] == fc7[out, incoming]
        assert torch.equal(target.features[28].weight, source.features[28].weight)


def test_vgg_without_batch_norm_fills_segnet_whose_norms_start_afresh(tmp_path):
    from atrous.encoders.vgg import VGG16
    from atrous.weights import create_model

    source = VGG16(base_channels=4)
    path = file_of(source, tmp_path / "vgg16.safetensors")

    model = create_model("segnet", encoder_weights=path, base_channels=4)

    theirs, ours = (
        [m for m in network.modules() if isinstance(m, torch.nn.Conv2d)]
        for network in (source, model.encoder)
    )
    assert len(theirs) == len(ours) == 13
    for one, other in zip(theirs, ours, strict=True):
        assert torch.equal(one.weight, other.weight)
        assert torch.equal(one.bias, other.bias)
    for norm in (m for m in model.encoder.modules() if isinstance(m, torch.nn.BatchNorm2d)):
        assert norm.weight.eq(1).all()
        assert not norm.running_mean.any()


def test_vgg_with_batch_norm_fills_segnet_norms_included(tmp_path):
    from atrous.encoders.vgg import VGG16
    from atrous.weights import create_model

    source = with_random_statistics(VGG16(base_channels=4, batch_norm=True))
    path = file_of(source, tmp_path / "vgg16_bn.safetensors")
    for name in ("vgg16", "vgg16_bn"):
        model = create_model("segnet", encoder_name=name, encoder_weights=path, base_channels=4)
        for key, tensor in source.state_dict().items():
            assert torch.equal(model.encoder.state_dict()[key], tensor)


def test_plain_vgg_is_refused_where_batch_norms_were_asked_for(tmp_path):
    from atrous.encoders.vgg import VGG16
    from atrous.weights import create_model

    path = file_of(VGG16(base_channels=4), tmp_path / "vgg16.safetensors")
    with pytest.raises(InputError, match="another architecture, not of vgg16_bn"):
        create_model("segnet", encoder_name="vgg16_bn", encoder_weights=path, base_channels=4)


def test_an_encoder_inside_a_saved_network_is_found(tmp_path):
    from atrous.weights import create_model, save

    model = create_model("deeplab_v3_plus", encoder_name="mobilenet_v2_035", classes=2)
    folder = save(model, tmp_path)
    other = create_model(
        "unet", encoder_name="mobilenet_v2_035", encoder_weights=folder / "model.safetensors"
    )
    for key, tensor in model.encoder.state_dict().items():
        assert torch.equal(other.encoder.state_dict()[key], tensor)


def test_half_precision_files_become_float32(tmp_path):
    source = create_encoder("mobilenet_v2_035")
    path = file_of(source.half(), tmp_path / "half.safetensors")
    target = create_encoder("mobilenet_v2_035")
    load_encoder_weights(target, path)
    assert {t.dtype for t in target.parameters()} == {torch.float32}
    assert torch.equal(target.features[0][0].weight, source.features[0][0].weight.float())


# Other numbers of channels.


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 7])
def test_equal_channels_give_what_their_grey_rgb_twin_gave(tmp_path, channels):
    rgb = with_random_statistics(create_encoder("mobilenet_v2_035"))
    path = file_of(rgb, tmp_path / "rgb.safetensors")
    ours = create_encoder("mobilenet_v2_035", in_channels=channels).eval()
    load_encoder_weights(ours, path, in_channels=channels)

    grey = torch.randn(1, 1, 33, 47)
    expected = features(rgb, grey.expand(-1, 3, -1, -1))
    for mine, reference in zip(
        features(ours, grey.expand(-1, channels, -1, -1)), expected, strict=True
    ):
        torch.testing.assert_close(mine, reference, atol=1e-4, rtol=1e-4)


def test_with_more_channels_red_green_and_blue_keep_their_filters():
    weight = torch.randn(8, 3, 3, 3)
    adapted = adapt_channels(weight, 5)
    torch.testing.assert_close(adapted[:, :3], weight * 3 / 5)
    torch.testing.assert_close(adapted[:, 3], weight.mean(1) * 3 / 5)
    assert torch.equal(adapted[:, 3], adapted[:, 4])


def test_weights_for_other_than_three_channels_are_not_stretched(tmp_path):
    path = file_of(create_encoder("mobilenet_v2_035", in_channels=4), tmp_path / "w.safetensors")
    load_encoder_weights(create_encoder("mobilenet_v2_035", in_channels=4), path, in_channels=4)
    with pytest.raises(InputError, match=r"take 4 channels and the network 2; only RGB weights"):
        load_encoder_weights(create_encoder("mobilenet_v2_035", in_channels=2), path, in_channels=2)


# The real file.


@pytest.mark.shared
def test_the_shared_weights_give_torchvisions_features(shared):
    from safetensors.torch import load_file
    from torchvision.models import mobilenet_v2

    path = shared / "weights" / "mobilenet_v2_imagenet.safetensors"
    theirs = mobilenet_v2(weights=None).eval()
    theirs.load_state_dict(load_file(path), strict=True)
    ours = create_encoder("mobilenet_v2").eval()
    load_encoder_weights(ours, path, name="mobilenet_v2")
    images = torch.randn(1, 3, 96, 128)
    assert torch.equal(features(ours, images)[-1], features(theirs.features[:18], images))


@pytest.mark.shared
@pytest.mark.parametrize(
    ("photo", "expected"),
    [("chelsea.png", {285: 0.45, 282: 0.37, 281: 0.11}), ("coffee.png", {967: 0.81, 925: 0.06})],
)
def test_the_shared_weights_name_what_is_on_the_photos(shared, photo, expected):
    from PIL import Image
    from safetensors.torch import load_file

    from atrous.ops import Normalization, normalise

    path = shared / "weights" / "mobilenet_v2_imagenet.safetensors"
    encoder = create_encoder("mobilenet_v2").eval()
    load_encoder_weights(encoder, path, name="mobilenet_v2")
    head = {key: tensor.float() for key, tensor in load_file(path).items()}

    image = central(Image.open(shared / "data/photos" / photo).convert("RGB"))
    pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None]
    probabilities = classify(encoder, head, normalise(pixels, Normalization.imagenet()))

    assert int(probabilities.argmax()) == next(iter(expected))
    for label, probability in expected.items():
        assert math.isclose(probabilities[label], probability, abs_tol=0.03)


def central(image):
    """Shorter side to 256, centre crop 224, as torchvision's recipe does."""
    scale = 256 / min(image.size)
    width, height = (round(side * scale) for side in image.size)
    left, top = (width - 224) // 2, (height - 224) // 2
    return image.resize((width, height), 2).crop((left, top, left + 224, top + 224))


def classify(encoder, head, images):
    """Apply what the encoder leaves out: the 1280-channel layer, mean, classifier."""
    with torch.no_grad():
        x = functional.conv2d(encoder(images)[-1], head["features.18.0.weight"])
        norm = (
            head[f"features.18.1.{part}"]
            for part in ("running_mean", "running_var", "weight", "bias")
        )
        x = functional.relu6(functional.batch_norm(x, *norm)).mean((2, 3))
        return functional.linear(x, head["classifier.1.weight"], head["classifier.1.bias"])[
            0
        ].softmax(0)
