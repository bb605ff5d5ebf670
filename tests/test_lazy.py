import subprocess
import sys

import pytest

import atrous
from atrous._lazy import lazy

HEAVY = ("torch", "numpy", "cv2", "lightning", "numba", "timm", "matplotlib")


def test_importing_the_package_loads_no_heavy_library():
    script = "import sys, atrous; print(*[name for name in sys.argv[1:] if name in sys.modules])"
    shown = subprocess.run(
        [sys.executable, "-c", script, *HEAVY], capture_output=True, text=True, check=True
    )
    assert shown.stdout.split() == []


def test_rooms_are_attributes_of_the_package():
    assert callable(atrous.ops.upsample_argmax)
    assert callable(atrous.evaluation.ConfusionMatrix)


def test_a_name_is_looked_up_once():
    assert atrous.create_model is vars(atrous)["create_model"]


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'atrous' has no attribute 'creat_model'"):
        lazy("atrous", {"create_model": "weights"})("creat_model")
