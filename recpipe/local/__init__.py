"""The embedded home: Airflow and MLflow on this machine, with SQLite, on 127.0.0.1, under one folder."""
