"""The plugin of recpipe, which Airflow finds by the entry point of the package.

Every component of Airflow loads it (scheduler, workers, each task), so it imports next to nothing: the page is built
when the API server asks for its applications, and by nobody else.
"""

from __future__ import annotations

from functools import cached_property
from importlib import metadata
from typing import Any

from airflow.plugins_manager import AirflowPlugin

PREFIX = "/recpipe"
"""Where the page stands under the address of Airflow's API server."""


class RecpipePlugin(AirflowPlugin):
    """The page of recpipe, and its place in Airflow's navigation."""

    name = "recpipe"

    @cached_property
    def fastapi_apps(self) -> list[dict[str, Any]]:
        """The page, as an application of the API server; other components never ask for it."""
        from recpipe.airflow.web.app import build

        return [{"app": build(), "url_prefix": PREFIX, "name": "recpipe"}]

    @cached_property
    def external_views(self) -> list[dict[str, Any]]:
        """The page's place in the navigation: within Airflow's own frame."""
        from airflow.api_fastapi.app import API_ROOT_PATH

        address = f"{API_ROOT_PATH.rstrip('/')}{PREFIX}"
        return [
            {
                "name": "recpipe",
                "href": f"{address}/",
                "icon": f"{address}/static/icon.svg",
                "url_route": "recpipe",
                "destination": "nav",
                "nav_top_level": True,
            }
        ]


def unless_installed() -> type[RecpipePlugin] | None:
    """Return the plugin for the file in the plugins folder; None where the installed package registers it already.

    Airflow would leave out the second of one name, but warn in every process and show an error of import on its pages.
    """
    try:
        installed = metadata.distribution("recpipe").entry_points.select(group="airflow.plugins")
    except metadata.PackageNotFoundError:
        return RecpipePlugin
    return None if installed else RecpipePlugin
