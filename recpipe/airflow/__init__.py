"""What only Airflow can hold: how a run finds its day, the sensors and their trigger, the job operator.

The DAG files import this from the plugins folder. Importing it costs nothing but `airflow.sdk` and the settings.
"""
