-- Run once, when Postgres makes its data folder: MLflow has a database of its own.
CREATE DATABASE mlflow OWNER airflow;
