"""Facts of earlier scans, kept under the hash of the files' bytes.

One JSON file for each data set in the user's cache folder. It only ever saves time: a missing,
damaged or unwritable cache is no fault, and nothing in it is more than numbers and sentences.
"""

import contextlib
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path

from atrous.data.file_facts import FileFacts
from atrous.files import write_bytes

__all__ = ["cache_file", "load_facts", "save_facts", "user_cache"]

VERSION = 3  # of the facts: raise it when they are found or written in another way


def cache_file(root: Path) -> Path:
    """Return where the facts of the data set at `root` are kept."""
    name = hashlib.blake2b(os.fsencode(root.resolve()), digest_size=8).hexdigest()
    return user_cache() / "scans" / f"{name}.json"


def user_cache() -> Path:
    """Return the folder of all that is kept for later and may be deleted at any time.

    Raises:
        RuntimeError: There is no home folder.
    """
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "atrous"


def load_facts(root: Path) -> dict[str, FileFacts]:
    """Return key -> facts; nothing where there is no readable cache of this version."""
    try:
        content = json.loads(cache_file(root).read_bytes())
        if content["version"] != VERSION:
            return {}
        return {str(key): FileFacts.from_json(facts) for key, facts in content["facts"].items()}
    except (OSError, RuntimeError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}


def save_facts(root: Path, facts: Mapping[str, FileFacts]) -> None:
    """Keep `facts` for the next scan, if the disk allows."""
    content = {"version": VERSION, "facts": {key: value.to_json() for key, value in facts.items()}}
    with contextlib.suppress(OSError, RuntimeError):  # RuntimeError: there is no home folder
        write_bytes(cache_file(root), json.dumps(content, separators=(",", ":")).encode())
