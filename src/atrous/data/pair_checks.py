"""What the facts of each pair say against it, once the classes are known."""

from collections import Counter
from collections.abc import Iterable, Sequence

from atrous.data.coding import MaskCoding, outside
from atrous.data.depth import depth_findings
from atrous.data.findings import Finding
from atrous.data.scan import ScannedFile, ScannedPair
from atrous.labels import VOID

__all__ = ["channel_findings", "common_channels", "pair_findings", "twin_findings"]

SMALLEST = 8  # pixels a side


def pair_findings(scanned: ScannedPair, coding: MaskCoding) -> list[Finding]:
    """Return what is wrong with one pair by itself; an error makes it unusable."""
    image, mask = scanned.image, scanned.mask
    faults = [
        Finding("error", file.path, *file.facts.fault)
        for file in (image, mask)
        if file.facts.fault is not None
    ]
    if faults:
        return faults
    findings = _size_findings(image, mask)
    table = coding.table(mask.facts.coloured)
    if not mask.facts.counts.keys() <= table.keys():
        fault = outside(mask.path, mask.facts.counts, coding, coloured=mask.facts.coloured)
        findings.append(fault.finding)
    elif all(table[value] == VOID for value in mask.facts.counts):
        what = "is void everywhere, so nothing can be learnt or scored on it"
        findings.append(Finding("warning", mask.path, what, "label it or remove the pair"))
    return findings


def common_channels(pairs: Iterable[ScannedPair]) -> int:
    """Return the channels that most images have; colour where grey and colour are mixed."""
    counts = Counter(pair.image.facts.channels for pair in pairs)
    if not counts:
        return 3
    most = max(counts, key=lambda channels: (counts[channels], channels))
    return 3 if most == 1 and 3 in counts else most


def channel_findings(pairs: Sequence[ScannedPair], channels: int) -> list[Finding]:
    """Say which images have other channels than the rest; 1 and 3 convert into each other."""
    findings = []
    for pair in pairs:
        own = pair.image.facts.channels
        if own == channels:
            continue
        if {own, channels} == {1, 3}:
            what = f"has {own} channel(s) among images of {channels}; it is converted"
            findings.append(Finding("warning", pair.image.path, what, "check that it belongs here"))
        else:
            what = f"has {own} channel(s), but most images have {channels}"
            findings.append(
                Finding("error", pair.image.path, what, f"give it {channels} or remove the pair")
            )
    return findings + depth_findings(pairs)


def twin_findings(pairs: Sequence[ScannedPair]) -> list[Finding]:
    """Say which images of val or test are, byte for byte, also in train."""
    trained = {pair.image.digest: pair for pair in pairs if pair.split == "train"}
    findings = []
    for pair in pairs:
        twin = trained.get(pair.image.digest)
        if pair.split != "train" and twin is not None:
            what = f"is the same file as {twin.image.path} in train, so the score will flatter"
            findings.append(
                Finding("warning", pair.image.path, what, "remove one of the two pairs")
            )
    return findings


def _size_findings(image: ScannedFile, mask: ScannedFile) -> list[Finding]:
    width, height = image.facts.width, image.facts.height
    if min(width, height) < SMALLEST:
        what = f"is {width} x {height} pixels; at least {SMALLEST} x {SMALLEST} are needed"
        return [Finding("error", image.path, what, "remove the pair")]
    size = (mask.facts.width, mask.facts.height)
    if size == (width, height):
        return []
    what = (
        f"is {size[0]:,} x {size[1]:,}, but its image {image.path.name} is {width:,} x {height:,}"
    )
    remedy = "export the mask again at the size of the image"
    if image.facts.turned and size == (height, width):
        what += " once turned as its EXIF says"
        remedy = "turn the mask likewise, or remove the EXIF orientation of the image"
    return [Finding("error", mask.path, what, remedy)]
