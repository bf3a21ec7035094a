"""Commands that sweep, and that say whether an installation is sound."""

from __future__ import annotations

from typing import Annotated

import typer

from recpipe.cli.command import app
from recpipe.printable import say


@app.command()
def maintain(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="say what would be done, and do nothing")] = False,
) -> None:
    """Join small files, remove old versions, models that nobody used, and scratch of finished runs."""
    from recpipe.config.settings import load_settings
    from recpipe.maintenance.maintain import maintain as sweep

    report = sweep(load_settings(), dry_run=dry_run)
    say("\n".join(report.lines()))
    if report.failed:
        raise typer.Exit(1)


@app.command()
def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="a list of findings, for programs")] = False,
) -> None:
    """Look at this installation, and say what has to be mended; exit code 1 if something is wrong."""
    import json
    from dataclasses import asdict

    from recpipe.config.settings import load_settings
    from recpipe.errors import BadSetting
    from recpipe.maintenance.doctor import examine
    from recpipe.maintenance.doctor.finding import wrong

    try:
        findings = examine(load_settings())
    except BadSetting as error:
        findings = [wrong("settings", str(error), "Mend them: nothing else can be looked at before.")]
    if as_json:
        say(json.dumps([asdict(finding) for finding in findings], indent=1))
    for finding in [] if as_json else findings:
        say(f"{finding.level:5}  {finding.check}: {finding.says}")
        if finding.remedy and finding.level != "ok":
            say(f"       -> {finding.remedy}")
    bad = sum(finding.level == "wrong" for finding in findings)
    if not as_json:
        say(f"{bad} wrong, {sum(finding.level == 'warn' for finding in findings)} to look at, of {len(findings)} findings.")
    if bad:
        raise typer.Exit(1)
