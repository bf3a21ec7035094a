"""The parts that only Airflow can hold: the day of a run, the sensors and their trigger, the job operator.

The DAG files import this from the plugins folder. Importing it costs nothing but `airflow.sdk` and the settings.
"""
