"""What the terminal says of a review: the images that are most worth a look."""

from collections.abc import Sequence

from atrous.cli.console import table
from atrous.inference.review import Doubtful

__all__ = ["review_table"]

SHOWN = 10


def review_table(items: Sequence[Doubtful]) -> str:
    """Return the most doubtful images, where to look in them and what stands there."""
    rows: list[tuple[str, ...]] = [("doubt", "image", "region (x, y, w x h)", "taken for")]
    for item in items[:SHOWN]:
        box = "" if item.box is None else "{}, {}, {} x {}".format(*item.box)
        names = ", ".join(name for name, _ in item.classes)
        rows.append((f"{item.doubt:.3f}", str(item.image), box, names))
    more = [f" and {len(items) - SHOWN} more"] if len(items) > SHOWN else []
    return "\n".join([table(rows, right=(0,)), *more])
