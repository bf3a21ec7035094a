"""The page for support and product people: one user's list, freshness, quality, quarantine, reports; behind Airflow's login."""
