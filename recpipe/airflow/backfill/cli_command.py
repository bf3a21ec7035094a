"""The definition of ``airflow dags backfill``: its place, flags and help.

Airflow 3 moved backfills into a service and dropped the command that follows them. Providers may add top-level
commands only; at the moment they are asked, `airflow.cli.cli_parser.airflow_commands` is still a plain list, so its
group ``dags`` can be replaced by one with a further subcommand. This can go when Airflow lets providers add subcommands.
"""

from __future__ import annotations

from airflow.cli import cli_parser
from airflow.cli.cli_config import ActionCommand, Arg, CLICommand, GroupCommand, lazy_load_command

ARGUMENTS = (
    Arg(("dag_id",), help="the DAG to run"),
    Arg(("-s", "--start-date"), required=True, help="first day, included, such as 2011-09-01, in the zone of the DAG's schedule"),
    Arg(("-e", "--end-date"), required=True, help="last day, included"),
    Arg(("-n", "--dry-run"), action="store_true", help="list the runs (day, logical date, data interval) and start none"),
    Arg(
        ("--rerun-failed-tasks",),
        action="store_true",
        help="run days again whose run failed (reprocess behaviour 'failed' of Airflow 3: the whole run is cleared)",
    ),
    Arg(
        ("--reset-dagruns",),
        action="store_true",
        help="run days again whose run ended, well or not (reprocess behaviour 'completed' of Airflow 3)",
    ),
    Arg(("-B", "--run-backwards"), action="store_true", help="newest day first"),
    Arg(("--max-active-runs",), type=int, default=None, help="runs at a time; the DAG's own max_active_runs if not given"),
    Arg(("-c", "--conf"), default=None, help="JSON object with parameters of every run; it cannot set 'day'"),
    Arg(("-y", "--yes"), action="store_true", help="do not ask before runs are cleared and run again"),
    Arg(
        ("--local",),
        action="store_true",
        help="run the days one after another in this process, whether or not a scheduler runs beside it; stops at the first that fails",
    ),
)

DESCRIPTION = (
    "Run a DAG for every day of a range, both ends included, and wait until the runs are done. A run belongs to the day on "
    "which its data interval starts, so a weekly DAG runs for the weeks that start in the range. Days that have a run already "
    "are left alone, unless --rerun-failed-tasks or --reset-dagruns is given; runs under way are waited for, and run again if nobody works on "
    "them any more. At the end the lake's register is asked for every day of the range, and what is missing is said: the exit code is 0 when all of "
    "it is there, 1 when a run failed or a day is missing, 2 when the backfill was refused. Ctrl-C stops the following, then asks the backfill to stop: runs that "
    "wait are given up, running ones end by themselves."
)


def add_backfill_command() -> list[CLICommand]:
    """Replace the group ``dags`` by one that has ``backfill`` too; adds no top-level command."""
    command = ActionCommand(
        name="backfill",
        help="Run a DAG for every day of a range and wait",
        description=DESCRIPTION,
        func=lazy_load_command("recpipe.airflow.backfill.backfill_command.run_command"),
        args=ARGUMENTS,
    )
    commands: list[CLICommand] = cli_parser.airflow_commands
    for place, group in enumerate(commands):
        if isinstance(group, GroupCommand) and group.name == "dags":
            subcommands = [known for known in group.subcommands if known.name != command.name]
            commands[place] = group._replace(subcommands=(*subcommands, command))
    return []
