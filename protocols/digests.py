"""Prints every built-in protocol's digest as JSON: `python -m protocols.digests > tests/protocols/digests.json`."""

from __future__ import annotations

import json

from protocols.catalog import PUBLISHED
from protocols.spec import digest


def pinned() -> dict[str, str]:
    """Protocol id -> digest, of every version published here."""
    return {protocol.id: digest(protocol) for protocol in PUBLISHED}


if __name__ == "__main__":
    print(json.dumps(pinned(), indent=2))
