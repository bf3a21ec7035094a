"""The soundness of an installation: each check is one function of a table; it says what it found and what to do."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from recpipe.config.settings import Settings
from recpipe.maintenance.doctor import airflow_setup, machine, places, running_services, served_models
from recpipe.maintenance.doctor.finding import Finding, wrong

Check = Callable[[Settings], Iterable[Finding]]

CHECKS: Final[dict[str, Check]] = {
    "python": machine.python,
    "versions": machine.versions,
    "settings": machine.environment,
    "folders": places.folders,
    "lake": places.store,
    "modes": places.modes,
    "disk": machine.disk,
    "clock": machine.clock,
    "gpu": machine.gpu,
    "airflow": airflow_setup.airflow,
    "airflow services": running_services.airflow_health,
    "mlflow": running_services.mlflow_health,
    "exposure": running_services.exposure,
    "notices": running_services.channels,
    "user key": served_models.user_key,
    "champion": served_models.encoder_and_champion,
}
"""In the order in which they are shown."""


def examine(settings: Settings, checks: dict[str, Check] | None = None) -> list[Finding]:
    """Run every check, side by side, and return what they found, in the order of the table.

    A check that breaks is itself a finding, by the kind of its error alone: its text may hold a secret.
    """
    chosen = CHECKS if checks is None else checks

    def run(entry: tuple[str, Check]) -> Sequence[Finding]:
        name, check = entry
        try:
            return list(check(settings))
        except Exception as error:
            return [
                wrong(
                    name, f"could not be looked at ({type(error).__name__})", "Run it again; if it stays, tell the maintainers."
                )
            ]

    with ThreadPoolExecutor(max_workers=len(chosen)) as pool:
        return [finding for found in pool.map(run, chosen.items()) for finding in found]


__all__ = ["CHECKS", "Finding", "examine"]
