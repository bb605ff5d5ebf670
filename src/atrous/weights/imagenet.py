"""ImageNet weights by an encoder's name: torchvision's public files, timm's for the rest."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from urllib.request import Request, urlopen

import torch
from torch import Tensor

from atrous.weights.sources import WeightsUnreachable, is_network_error

__all__ = ["TORCHVISION_FILES", "cached_file", "check_published", "imagenet_tensors"]

TORCHVISION_FILES = {
    "alexnet": "alexnet-owt-7be5be79.pth",
    "googlenet": "googlenet-1378be20.pth",
    "mobilenet_v2": "mobilenet_v2-b0353104.pth",
    "resnet18": "resnet18-f37072fd.pth",
    "resnet34": "resnet34-b627a593.pth",
    "resnet50": "resnet50-0676ba61.pth",
    "resnet101": "resnet101-63fe2227.pth",
    "vgg16": "vgg16-397923af.pth",
    "vgg16_bn": "vgg16_bn-6c64b313.pth",
    "vgg19": "vgg19-dcbb9e9d.pth",
}
"""The IMAGENET1K_V1 files; the digits are the start of the SHA-256, which is checked."""

HOST = "https://download.pytorch.org/models/"
TIMM_NAMES = {"mobilenet_v2_050": "mobilenetv2_050.lamb_in1k"}
WITHOUT = {
    "bvlc_googlenet": "googlenet",
    "caffenet": "alexnet",
    "mobilenet_v2_035": "mobilenet_v2 or mobilenet_v2_050",
    "mobilenet_v2_075": "mobilenet_v2 or mobilenet_v2_050",
}
"""Encoders for which nobody has published weights in this layout, and what to take instead."""

PATIENCE_SECONDS = 10.0


def imagenet_tensors(name: str) -> dict[str, Tensor]:
    """Return the named tensors of a public ImageNet classifier; fetched once, then from the cache.

    Args:
        name: An encoder's name: one of `TORCHVISION_FILES`, or any that timm has weights for.

    Raises:
        WeightsUnreachable: Nobody has published any for this encoder, or they are not in the
            cache and cannot be fetched.
    """
    check_published(name)
    with _reachable(name):
        if name in TORCHVISION_FILES:
            return _from_torchvision(TORCHVISION_FILES[name])
        return _from_timm(TIMM_NAMES.get(name, name))


def check_published(name: str) -> None:
    """Require that somebody has published weights for this encoder; fetches nothing.

    Raises:
        WeightsUnreachable: Nobody has.
    """
    if name in WITHOUT:
        raise WeightsUnreachable(
            f"no public ImageNet weights for {name}; take {WITHOUT[name]}, a file, or none"
        )
    if name in TORCHVISION_FILES:
        return
    import timm

    if not timm.is_model_pretrained(TIMM_NAMES.get(name, name)):
        raise WeightsUnreachable(
            f"no ImageNet weights for {name} in timm; take another encoder, a file, or none"
        )


def cached_file(name: str) -> tuple[str, Path | None]:
    """Return what the weights of `imagenet_tensors` are called, and their file if it is known."""
    if name in TORCHVISION_FILES:
        return TORCHVISION_FILES[name], _place(TORCHVISION_FILES[name])
    import timm
    from huggingface_hub import try_to_load_from_cache

    name = TIMM_NAMES.get(name, name)
    repository = getattr(timm.get_pretrained_cfg(name), "hf_hub_id", None)
    if repository is None:
        return name, None
    file = try_to_load_from_cache(repository, "model.safetensors")
    return repository, Path(file) if isinstance(file, str) else None


def _place(file: str) -> Path:
    """Return where torch keeps a file that it has fetched."""
    return Path(torch.hub.get_dir()) / "checkpoints" / file


def _from_torchvision(file: str) -> dict[str, Tensor]:
    url = HOST + file
    if not _place(file).exists():
        urlopen(Request(url, method="HEAD"), timeout=PATIENCE_SECONDS).close()  # or wait minutes
    return torch.hub.load_state_dict_from_url(
        url, map_location="cpu", progress=False, check_hash=True, weights_only=True
    )


def _from_timm(name: str) -> dict[str, Tensor]:
    import timm

    return timm.create_model(name, pretrained=True).state_dict()


@contextlib.contextmanager
def _reachable(name: str) -> Iterator[None]:
    """Turn every failure of the way there into one line with the remedy."""
    try:
        yield
    except WeightsUnreachable:
        raise
    except Exception as error:
        if not is_network_error(error):
            raise
        raise WeightsUnreachable(
            f"ImageNet weights of {name} cannot be fetched ({type(error).__name__}); connect, "
            "give a file (--weights FILE), or start from scratch (--weights none)"
        ) from error
