"""The plugins folder on the path, as Airflow puts it there."""

from __future__ import annotations

import sys
from pathlib import Path

PLUGINS = str(Path(__file__).parents[3] / "plugins")
if PLUGINS not in sys.path:
    sys.path.append(PLUGINS)
