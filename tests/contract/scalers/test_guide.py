"""The example of the guide for scaler authors works and passes the contract."""

from __future__ import annotations

import re
from pathlib import Path

GUIDE = Path(__file__).parents[3] / "docs" / "guides" / "writing-a-scaler.md"


def _example() -> dict[str, object]:
    """Execute the guide's Python, as one module."""
    blocks = re.findall(r"```python\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    assert len(blocks) == 2
    namespace: dict[str, object] = {"__name__": __name__}
    exec(compile("\n".join(blocks), str(GUIDE), "exec", dont_inherit=True), namespace)
    return namespace


TestQueueScaler = _example()["TestQueueScaler"]
