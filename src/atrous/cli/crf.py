"""`atrous crf IMAGE MASK`: any mask, sharpened along the borders in its image."""

from typing import TYPE_CHECKING

from atrous.cli.console import answer, number
from atrous.inference.sharpen_config import SharpenConfig

if TYPE_CHECKING:
    from atrous.inference.sharpen import Sharpened

__all__ = ["run"]


def run(config: SharpenConfig) -> int:
    """Sharpen one mask; return 0."""
    for path in (config.image, config.mask):
        if not path.is_file():
            from atrous.errors import InputError

            raise InputError(f"no file {path}; give an image and its mask")
    from atrous.inference.crf_settings import crf_to_json  # torch
    from atrous.inference.sharpen import sharpen

    result = sharpen(config)
    content = {
        "mask": result.path,
        "classes": result.values,
        "changed": result.changed,
        "filled": result.filled,
        "crf": crf_to_json(result.crf),
    }
    answer(_summary(result), content)
    return 0


def _summary(result: "Sharpened") -> str:
    filled = f", {number(result.filled)} void pixels filled" if result.filled else ""
    return (
        f"Mask: {result.path}   ({len(result.values)} classes, "
        f"{100 * result.changed:.1f} % of the pixels changed{filled})"
    )
