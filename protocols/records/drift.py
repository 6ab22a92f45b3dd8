"""Whether a record was made with the simulators that its protocol names. Every reader asks; the loop reports it first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def simulator_drift(manifest: Mapping[str, Any]) -> dict[str, tuple[str, str | None]]:
    """Simulators whose recorded version is not the protocol's: package -> (expected, recorded or None).

    An empty dict means that the record may be compared with others of its protocol. Ask this before you aggregate.
    """
    expected = manifest["protocol_data"]["simulators"]
    recorded = manifest["packages"]
    return {
        package: (version, recorded.get(package)) for package, version in expected.items() if recorded.get(package) != version
    }
