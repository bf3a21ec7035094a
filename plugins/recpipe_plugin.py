"""The plugin for an Airflow that has recpipe on its path and not installed: an installed one brings it by an entry point."""

from recpipe.airflow.plugin import unless_installed

RecpipePlugin = unless_installed()
