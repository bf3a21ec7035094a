"""Commands that want a machine of their own: one declaration, run in the place that the settings name.

`job` declares; `process.py`, `docker.py` and `kubernetes.py` are the places. What a place needs is imported when it is asked for.
"""
