"""What a person is asked: both candidates' figures, and what no answer means."""

from __future__ import annotations

from dataclasses import asdict

from recpipe.config import load_settings
from recpipe.registry import Decision, question

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
    text = question(load_settings(home="unused"), asdict(DECISION), "http://127.0.0.1:5000")
    assert "| candidate, version 3 | 0.1234 |  |  |" in text
    assert "| champion, version 1 | 0.1000 | +23.4% | +1.2% to +40.0% |" in text
    assert "| its own stack | 0.1100 |  |  |" in text
    assert "229 users, 2011-08-22 to 2011-08-28" in text
    assert "http://127.0.0.1:5000/#/models/recpipe/versions/3" in text
    assert "no answer in time: the champion stays" in text
