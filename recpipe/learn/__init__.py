"""The learners. Nothing here imports Airflow, MLflow, Great Expectations, Delta or the settings: torch and numpy suffice."""
