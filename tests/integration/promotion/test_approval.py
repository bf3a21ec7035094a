"""What a person is asked: both candidates' figures, and what no answer means."""

from __future__ import annotations

from dataclasses import asdict
from datetime import date
from pathlib import Path

from recpipe.config.settings import Settings, load_settings
from recpipe.promotion.approval import pictures, question
from recpipe.promotion.decision import Decision
from recpipe.promotion.decision_plot import plot_decision
from recpipe.promotion.gate import propose
from recpipe.promotion.register import ensure_first_champion, register

WEEK = date(2026, 3, 15)
DECISION = Decision(
    version="3",
    champion="1",
    day="2011-08-28",
    first_day="2011-08-22",
    promoted=True,
    reason="The lower end is above the margin.",
    metric="ndcg@10",
    candidate_value=0.1234,
    champion_value=0.1,
    relative_gain=0.234,
    low=0.012,
    high=0.4,
    margin=-0.05,
    users=229,
    closed_form="stack",
    closed_form_value=0.11,
    closed_form_gain=None,
    closed_form_low=None,
    closed_form_high=None,
)


def test_the_question_compares_candidate_champion_and_closed_form() -> None:
    text = question(load_settings(home="unused"), asdict(DECISION))
    assert "| candidate, version 3 | 0.1234 |  |  |" in text
    assert "| champion, version 1 | 0.1000 | +23.4% | +1.2% to +40.0% |" in text
    assert "| its own stack | 0.1100 |  |  |" in text
    assert "229 users, 2011-08-22 to 2011-08-28" in text
    assert "(http://127.0.0.1:5000/#/models/recpipe/versions/3)" in text
    assert "no answer in time: the champion stays" in text


def test_links_of_the_question_lead_where_a_browser_can_go() -> None:
    told = {"airflow_pages": "https://data.shop.example/airflow/", "mlflow_pages": "https://data.shop.example/mlflow"}
    text = question(load_settings(home="unused", **told), asdict(DECISION), ["models/version-3/decision.png"])
    picture = "/airflow/recpipe/reports/models/version-3/decision.png"
    assert f"[![decision]({picture})]({picture})" in text
    assert "(https://data.shop.example/mlflow/#/models/recpipe/versions/3)" in text


def test_pictures_lie_under_the_reports_the_comparison_first(settings: Settings, popular: str, neighbours: str) -> None:
    """Both what the gate drew and what training drew; asked again they are there once."""
    ensure_first_champion(settings, WEEK, popular)
    plots = Path(neighbours) / "plots"
    plots.mkdir()
    plot_decision(DECISION, plots / "curves.png")
    version = register(settings, neighbours, WEEK)
    propose(settings, version, WEEK)
    for _ in range(2):
        found = pictures(settings, version)
        assert found == ["models/version-2/decision.png", "models/version-2/curves.png"]
        assert all((settings.places.reports / name).read_bytes().startswith(b"\x89PNG") for name in found)
    assert {file.name for file in (settings.places.reports / "models" / "version-2").iterdir()} == {"decision.png", "curves.png"}
