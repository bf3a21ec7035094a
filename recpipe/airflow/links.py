"""Links beside a task in Airflow: to its MLflow run and model version, its verdict and report, and the table version it wrote.

Airflow asks each link when the task has ended, in the task's process, whether it succeeded or not, and keeps the answer with the
run. So an address is made of what the task returned and of files that are there by then; what does not exist gets none, and the
button stays grey. Nothing here asks MLflow, which may be slow or down: what only MLflow knows is looked up when somebody follows
the link (`recpipe.airflow.web`, routes under ``/recpipe/versions``).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from airflow.sdk import BaseOperatorLink

from recpipe.config.settings import Settings, load_settings
from recpipe.local.home import airflow_pages, mlflow_pages

WRITERS: Final = {
    **dict.fromkeys(("items", "users", "quarantine", "events"), "ingest_clickstream"),
    **dict.fromkeys(("episodes", "recommendations"), "recommend_nightly"),
    **dict.fromkeys(("outcomes", "newcomer_outcomes"), "evaluate_recommendations"),
    "replays": "replay_newcomers",
    "item_classes": "classify_items",
    "complements": "complete_items",
    "cart_recommendations": "complete_carts",
    "campaign_audiences": "audience_campaigns",
    "user_profiles": "profile_users",
    "search_recommendations": "answer_searches",
    "review_insights": "insight_reviews",
    "item_digests": "digest_reviews",
}
"""The DAG that writes a table: the register knows the run alone. A test holds it against the DAGs."""

Find = Callable[[Settings, Any], str]
"""From the settings and the task that ended (its instance), the address; empty if there is none."""


class Link(BaseOperatorLink):
    """One button beside a task.

    Parameters
    ----------
    name
        What stands on the button.
    find
        Finds the address.
    """

    def __init__(self, name: str, find: Find) -> None:
        self._name = name
        self._find = find

    @property
    def name(self) -> str:
        """What stands on the button."""
        return self._name

    @property
    def xcom_key(self) -> str:
        """Where Airflow keeps the address; one class has several links, so its name is not enough."""
        return "_link_" + "".join(letter if letter.isalnum() else "_" for letter in self._name)

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """Return the address, called by Airflow with the instance of the task that ended."""
        return self._find(load_settings(), ti_key)


def link(made: Any, *links: Link) -> Any:
    """Give a task its links, and return it: an operator, or what a function under ``@task`` returned when the DAG was built."""
    operator = getattr(made, "operator", made)
    operator.operator_extra_links = (*operator.operator_extra_links, *links)
    return made


def model_links(version: Callable[[Any], Any]) -> tuple[Link, Link]:
    """Return the links to the version in MLflow that a task worked on, and to the run that it came from.

    Parameters
    ----------
    version
        From what the task returned, the version's number.
    """

    def model(settings: Settings, instance: Any) -> str:
        number = _number(version, instance)
        return f"{mlflow_pages(settings)}/#/models/{settings.promotion.registered_model}/versions/{number}" if number else ""

    def run(settings: Settings, instance: Any) -> str:
        number = _number(version, instance)
        return f"{_page(settings)}/versions/{number}/run" if number else ""

    return Link("Model version", model), Link("MLflow run", run)


def trained_links(folder: Callable[[Any], Any]) -> tuple[Link, Link]:
    """Return the same links for the task that trains: it ends before its model has a number, so they go by the model's hash.

    Parameters
    ----------
    folder
        From the task's instance, the folder of the model.
    """

    def page(settings: Settings, instance: Any, what: str) -> str:
        from recpipe.errors import MissingModel
        from recpipe.registry.model_folder import content_hash

        try:
            return f"{_page(settings)}/versions/{content_hash(Path(folder(instance)))}/{what}"
        except MissingModel:  # training failed
            return ""

    return Link("Model version", partial(page, what="model")), Link("MLflow run", partial(page, what="run"))


def table_links(table: str, several: bool = False) -> tuple[Link, Link]:
    """Return the links to the verdict on a run's day of a table, and to its table version.

    Parameters
    ----------
    table
        Name of the table.
    several
        Whether the task has such links for other tables as well; then the buttons name the table.
    """

    def verdict(settings: Settings, instance: Any) -> str:
        return report_page(settings, settings.places.reports / "verdicts" / f"{table}-{_day(settings, instance)}.html")

    def version(settings: Settings, instance: Any) -> str:
        published = _returned(instance) is not None
        return f"{_page(settings)}/tables/{table}/{_day(settings, instance)}" if published else ""

    of = f" of {table}" if several else ""
    return Link(f"Verdict{of}", verdict), Link(f"Table version{of}", version)


def report_link() -> Link:
    """Return the link to the report whose path the task returned under ``report``."""

    def report(settings: Settings, instance: Any) -> str:
        returned = _returned(instance)
        return report_page(settings, Path(returned["report"])) if returned else ""

    return Link("Report", report)


def report_page(settings: Settings, file: Path) -> str:
    """Return the address of a file of the reports, behind Airflow's login; empty if it is not there."""
    if not file.is_file():
        return ""
    path = file.resolve().relative_to(settings.places.reports.resolve())
    return f"{_page(settings)}/reports/{quote(path.as_posix())}"


def _page(settings: Settings) -> str:
    return f"{airflow_pages(settings)}/recpipe"


def _returned(instance: Any) -> Any:
    return instance.xcom_pull(task_ids=instance.task_id)


def _number(version: Callable[[Any], Any], instance: Any) -> str:
    """Return the number of a registered version, without what may stand after a plus; empty if the task returned nothing."""
    returned = _returned(instance)
    return str(version(returned)).partition("+")[0] if returned else ""


def _day(settings: Settings, instance: Any) -> date:
    from recpipe.airflow.context import day_of_context

    return day_of_context(instance.get_template_context(), settings.shop)
