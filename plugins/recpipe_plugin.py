"""The plugin of recpipe, for an Airflow that reads it from its plugins folder; the wheel brings it by its entry point, too."""

from recpipe.airflow.plugin import RecpipePlugin as RecpipePlugin
