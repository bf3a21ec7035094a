"""The login of the page: whoever may read the DAG of the lists, by Airflow's own auth manager; nobody else gets a byte.

Airflow does not protect what a plugin adds. Every route of the page therefore depends on `MAY_READ`, which asks the auth
manager that the installation has (its neutral interface: SimpleAuthManager, FAB and others answer it).
"""

from __future__ import annotations

from typing import Any, Final

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.core_api.security import requires_access_dag
from fastapi import Depends, HTTPException, Request
from fastapi.responses import PlainTextResponse, RedirectResponse, Response

DAG: Final = "recommend_nightly"
"""Reading this DAG is the right that the page asks for: a role can be given it alone."""
MAY_READ: Final[Any] = Depends(requires_access_dag("GET", param_dag_id=DAG))

CONTENT_POLICY: Final = (
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'self'"
)
REPORT_POLICY: Final = (
    # no script of a report runs, whatever it holds; its own origin lets links between reports carry the login
    "sandbox allow-same-origin allow-popups; default-src 'none'; style-src 'unsafe-inline'; img-src data:; font-src data:; "
    "form-action 'none'; base-uri 'none'; frame-ancestors 'self'"
)
HEADERS: Final = {
    "Content-Security-Policy": CONTENT_POLICY,
    "Cache-Control": "no-store",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}
"""What every answer carries: nothing is loaded from elsewhere, and nothing stays in a cache for who logs in next."""


def refuse(request: Request, error: HTTPException) -> Response:
    """Answer one who may not enter: a browser without a login is sent to Airflow's own, everybody else gets the status alone."""
    if error.status_code not in (401, 403):
        return Response(status_code=error.status_code, headers=HEADERS)
    if getattr(request.state, "user", None) is not None:  # who is logged in is told why; who is not is told nothing
        said = f"Your Airflow account may not read this page. Ask for a role that may read the DAG {DAG}."
        return PlainTextResponse(said, error.status_code, headers=HEADERS)
    if request.method == "GET" and "text/html" in request.headers.get("accept", ""):
        login = get_auth_manager().get_url_login(next_url=request.url.path)
        return RedirectResponse(login, 303, headers=HEADERS)
    return Response(status_code=error.status_code, headers=HEADERS)
