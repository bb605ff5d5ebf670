"""Data sets: images and masks from disk, checked, joint transforms, made scenes."""

from typing import TYPE_CHECKING

from atrous._lazy import lazy

if TYPE_CHECKING:
    from atrous.data.decoding.headers import ImageHeader, judge_header
    from atrous.data.findings import FileError, Finding
    from atrous.data.images import read_image
    from atrous.data.layout import Pair
    from atrous.data.spec import DataSpec, open_data
    from atrous.data.statistics import SplitStatistics
    from atrous.data.synthetic import SCENE_LABELS, make_scene, write_scenes
    from atrous.data.transforms import JointTransform

__all__ = [
    "SCENE_LABELS",
    "DataSpec",
    "FileError",
    "Finding",
    "ImageHeader",
    "JointTransform",
    "Pair",
    "SplitStatistics",
    "judge_header",
    "make_scene",
    "open_data",
    "read_image",
    "write_scenes",
]

__getattr__ = lazy(
    __name__,
    {
        "SCENE_LABELS": "synthetic",
        "DataSpec": "spec",
        "FileError": "findings",
        "Finding": "findings",
        "ImageHeader": "decoding.headers",
        "JointTransform": "transforms",
        "Pair": "layout",
        "SplitStatistics": "statistics",
        "judge_header": "decoding.headers",
        "make_scene": "synthetic",
        "open_data": "spec",
        "read_image": "images",
        "write_scenes": "synthetic",
    },
)
