"""The application: its routes, each behind the door, and how an answer is made."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from fastapi import FastAPI, Form, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, HTMLResponse, RedirectResponse, Response
from starlette.exceptions import HTTPException as AnyHTTPException

from recpipe.airflow.web import page_words, quality_page
from recpipe.airflow.web.auth import HEADERS, MAY_READ, REPORT_POLICY, refuse
from recpipe.airflow.web.page_context import mlflow_version, read_settings, verdict_of, with_key
from recpipe.airflow.web.report_files import find_report, list_reports
from recpipe.airflow.web.traces import in_mlflow, written
from recpipe.config.settings import Settings
from recpipe.errors import RecpipeError
from recpipe.readers.freshness import due_day, freshness
from recpipe.readers.outcome_curves import read_curves, read_pooled, read_replay
from recpipe.readers.quarantine import Quarantined, read_quarantine
from recpipe.readers.user_report import read_story
from recpipe.reports.render import TEMPLATES, environment
from recpipe.reports.series import BESIDE_BASELINES, label

log = logging.getLogger(__name__)

HERE: Final = Path(__file__).parent
QUALITY_DAYS: Final = 60
QUARANTINE_DAYS: Final = 7
STATIC: Final = {"page.css": (TEMPLATES, "text/css"), "icon.svg": (HERE / "static", "image/svg+xml")}
LONGEST_ID: Final = 200

Answer = Callable[[Request], Awaitable[Response]]


def build() -> FastAPI:
    """Return the application; nothing of it is open without a login, addresses that do not exist included."""
    app = FastAPI(title="recpipe", docs_url=None, redoc_url=None, openapi_url=None, dependencies=[MAY_READ])
    app.add_exception_handler(AnyHTTPException, refuse)  # type: ignore[arg-type]  # it is asked for this error alone
    app.add_exception_handler(RequestValidationError, _no_such_address)  # after the door: it raises first
    app.middleware("http")(_with_headers)
    for path, answer in (("/", user_form), ("/user", user_form), ("/tables", tables), ("/quality", quality)):
        app.get(path, response_class=HTMLResponse)(answer)
    app.post("/user", response_class=HTMLResponse)(user)  # the id stands in the body: addresses end in access logs
    app.get("/quarantine", response_class=HTMLResponse)(quarantine)
    app.get("/versions/{version}", response_class=HTMLResponse)(version_nights)
    app.get("/versions/{version}/{what}", response_class=HTMLResponse)(version_elsewhere)
    app.get("/tables/{table}/{day}", response_class=HTMLResponse)(table_day)
    app.get("/reports", response_class=HTMLResponse)(reports)
    app.get("/reports/{path:path}")(report)
    app.get("/static/{name}")(static)
    app.get("/{anything:path}", response_class=HTMLResponse)(nothing_here)
    return app


async def _with_headers(request: Request, call_next: Answer) -> Response:
    answer = await call_next(request)
    for name, value in HEADERS.items():
        answer.headers.setdefault(name, value)
    return answer


# --- routes: plain functions, so that the reading runs on a thread and not on the server's loop


def user_form(request: Request) -> Response:
    """Ask for a user."""
    return _page(request, "user.html", typed="", story=None, said="")


def user(request: Request, typed: Annotated[str, Form(alias="user")] = "") -> Response:
    """Show the list of a user."""
    from recpipe.user_ids.canonical import canonical
    from recpipe.user_ids.keys import has_key, typed_user

    typed = canonical(typed)[:LONGEST_ID]
    if not typed:
        return _page(request, "user.html", typed="", story=None, said="Type the id of a user.")

    def read(settings: Settings) -> dict[str, Any]:
        settings = with_key(settings)
        story = read_story(settings, typed_user(settings, typed))
        said = "" if story else page_words.unknown_user(typed, has_key(settings.privacy))
        model = mlflow_version(settings, story.model_version) if story else ""
        return {"typed": typed, "story": story, "said": said, "model": model}

    return _page(request, "user.html", read, typed=typed, story=None)


def tables(request: Request) -> Response:
    """Show how fresh every table is."""

    def read(settings: Settings) -> dict[str, Any]:
        now = datetime.now(UTC)
        due = due_day(settings, now)
        found = freshness(settings)
        rows = [
            {
                "of": entry,
                "behind": entry.days_behind(due),
                "weekly": entry.weekly,
                "ago": page_words.ago(now - entry.newest.recorded_at),
                "verdict": verdict_of(settings.places, entry.table, entry.newest.day),
            }
            for entry in found
        ]
        absent = page_words.absent_tables([entry.table for entry in found])
        return {"due": due, "rows": rows, "absent": absent, "stands_still": settings.shop.clock_day == due}

    return _page(request, "tables.html", read, rows=[], absent="", due=None, stands_still=False)


def quality(request: Request) -> Response:
    """Show how good the lists were, by cohort."""

    def read(settings: Settings) -> dict[str, Any]:
        curves = read_curves(settings, QUALITY_DAYS)
        replayed, pooled = read_replay(settings), read_pooled(settings)
        return {
            "sections": quality_page.sections(curves, settings.evaluation.metric_k),
            "horizon": settings.evaluation.horizon_days,
            "replayed": replayed,
            "drawn": quality_page.newcomers(replayed, settings.evaluation.metric_k) if replayed else None,
            "ratios": quality_page.ratios(replayed) if replayed else [],
            "pooled": [quality_page.table_of(window) for window in pooled],
            "k": settings.evaluation.metric_k,
        }

    nothing: dict[str, Any] = {"sections": [], "replayed": None, "drawn": None, "ratios": [], "pooled": []}
    return _page(
        request, "quality.html", read, horizon=0, k=0, series={name: label(name) for name in BESIDE_BASELINES}, **nothing
    )


def quarantine(request: Request) -> Response:
    """Show what was not taken in."""
    return _page(
        request,
        "quarantine.html",
        lambda settings: {"found": read_quarantine(settings, QUARANTINE_DAYS)},
        found=Quarantined((), ()),
    )


def version_nights(request: Request, version: str) -> Response:
    """Show which nights a model version made."""

    def read(settings: Settings) -> dict[str, Any]:
        from recpipe.registry.nights import nights

        return {"nights": nights(settings, version), "model": mlflow_version(settings, version)}

    return _page(request, "version.html", read, version=version, nights=[], model="")


def version_elsewhere(request: Request, version: str, what: Literal["model", "run"]) -> Response:
    """Send a browser on to a model version in MLflow, or to its run; ``version`` is a number or the hash of the model."""
    try:
        return RedirectResponse(in_mlflow(read_settings(), version, what), 303)
    except RecpipeError as error:
        said = str(error)
    except Exception as error:  # MLflow is elsewhere, and may be down
        log.warning("MLflow did not answer: %s.", type(error).__name__)
        said = f"MLflow did not answer ({type(error).__name__}). Try again, or run `recpipe doctor` on the server."
    return _page(request, "version.html", status=404, version=version[:12], nights=[], model="", said=said)


def table_day(request: Request, table: str, day: date) -> Response:
    """Show each time that a day of a table was written: by which run and model, from what."""
    return _page(
        request, "table_day.html", lambda settings: written(settings, table, day), table=table, day=day, times=[], verdict=""
    )


def reports(request: Request) -> Response:
    """List the reports."""

    def read_reports(settings: Settings) -> dict[str, Any]:
        return {
            "found": list_reports(settings.places),
            "verdicts": find_report(settings.places, "verdicts/index.html") is not None,
        }

    return _page(request, "reports.html", read_reports, found=[], verdicts=False)


def report(path: str) -> Response:
    """Hand out one file of the reports."""
    file = find_report(read_settings().places, path)
    if file is None:
        raise HTTPException(404)
    return FileResponse(file, headers=HEADERS | {"Content-Security-Policy": REPORT_POLICY})


def static(name: str) -> Response:
    """Hand out the style and the icon."""
    if name not in STATIC:
        raise HTTPException(404)
    folder, kind = STATIC[name]
    return FileResponse(folder / name, media_type=kind)


def nothing_here(request: Request) -> Response:
    """Say that an address does not exist, to those who may know."""
    return _page(request, "nothing.html", status=404)


async def _no_such_address(request: Request, error: Exception) -> Response:
    return nothing_here(request)  # what FastAPI would answer repeats what was typed


# --- answers


def _page(
    request: Request, template: str, read: Callable[[Settings], dict[str, Any]] | None = None, status: int = 200, **shown: Any
) -> Response:
    """Return a page with what was read, or with a sentence where that could not be done."""
    about: dict[str, Any] = {"said": "", "model": ""} | shown
    if read is not None:
        try:
            about |= read(read_settings())
        except RecpipeError as error:
            about["said"] = str(error)
        except Exception as error:  # a lake that is broken or away must not break the page; no id may reach the log
            log.error("The page could not read the lake: %s.", type(error).__name__)
            about["said"] = f"The tables could not be read ({type(error).__name__}). Run `recpipe doctor` on the server."
    about |= {
        "root": request.scope["root_path"],
        "framed": request.headers.get("sec-fetch-dest") == "iframe",
        "words": page_words,
    }
    return HTMLResponse(environment(HERE / "templates").get_template(template).render(about), status)
