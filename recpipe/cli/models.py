"""Commands that register and promote models, and say which serve when."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from recpipe.cli.command import app
from recpipe.printable import say

if TYPE_CHECKING:
    from recpipe.promotion.decision import Decision

Day = Annotated[str, typer.Option("--day", help="last day of the training's week, such as 2011-08-28")]


@app.command()
def models() -> None:
    """Show the registered versions: what they are, until when they were trained, what the gate decided."""
    from recpipe.config.settings import load_settings
    from recpipe.registry.versions import overview

    rows = overview(load_settings())
    if not rows:
        say("No version is registered yet: run the DAG train_meta_model, or `recpipe register`.")
    for row in rows:
        fitted = f"trained until {row['trained_until']}, fitted until {row['fitted_until']}"
        say(f"version {row['version']}  {row['learner']}  {fitted}  {row['aliases']}".rstrip())
        promoted = f"promoted on {row['promoted_on']}" if row["promoted_on"] else "not promoted"
        say(f"    {promoted}. {row['reason']}".rstrip())
        if read_by := " and ".join(row[name] for name in ("encoder_version", "tuned_encoder_version") if row[name]):
            say(f"    reads texts with encoder version {read_by}")


@app.command(name="encoders")
def encoders() -> None:
    """Show the registered text encoders: how they were taught, until when, what the gate decided."""
    from recpipe.config.settings import load_settings
    from recpipe.registry.encoder_versions import for_encoders
    from recpipe.registry.versions import overview

    rows = overview(for_encoders(load_settings()))
    if not rows:
        say("No encoder is registered yet: run the DAG finetune_encoder, or `recpipe register-encoder`.")
    for row in rows:
        taught = "never fine-tuned" if row["learner"] == "frozen" else f"{row['learner']}, trained until {row['trained_until']}"
        say(f"version {row['version']}  {taught}  {row['aliases']}".rstrip())
        say(f"    {row['reason'] or 'Not judged yet.'}")


@app.command(name="register-encoder")
def register_encoder(
    folder: Annotated[str, typer.Argument(help="encoder folder that `recpipe finetune-encoder` wrote")], day: Day
) -> None:
    """Register a fine-tuned encoder, and the plain one before the first; the same folder again keeps its version."""
    from recpipe.config.settings import load_settings
    from recpipe.days import parse_day
    from recpipe.promotion.encoder_register import register_tuned

    say(f"encoder version {register_tuned(load_settings(), folder, parse_day(day))}")


@app.command(name="promote-encoder")
def promote_encoder(version: Annotated[str, typer.Argument(help="version of the registered encoder")], day: Day) -> None:
    """Hold a fine-tuned encoder against the one of its day, and promote it if it is not clearly worse."""
    from recpipe.config.settings import load_settings
    from recpipe.days import parse_day
    from recpipe.promotion.encoder_gate import promote_encoder as hold

    _say(hold(load_settings(), version, parse_day(day)))


@app.command(name="withdraw-encoder")
def withdraw_encoder(
    version: Annotated[str, typer.Argument(help="promoted version of the registered encoder")],
    reason: Annotated[str, typer.Option("--reason", help="why, in a sentence; it is kept with the version")],
) -> None:
    """Take an encoder's promotion back: no further training takes it. Models that were trained with it go on with it."""
    from recpipe.config.settings import load_settings
    from recpipe.promotion.withdraw import withdraw as take_back
    from recpipe.registry.encoder_versions import for_encoders

    left = take_back(for_encoders(load_settings()), version, reason)
    say(f"encoder version {version} is withdrawn; trainings take version {left} now")


@app.command()
def register(folder: Annotated[str, typer.Argument(help="model folder that `recpipe train` wrote")], day: Day) -> None:
    """Register a model folder; the same folder again keeps its version."""
    from recpipe.config.settings import load_settings
    from recpipe.days import parse_day
    from recpipe.promotion.register import register as register_folder

    say(f"version {register_folder(load_settings(), folder, parse_day(day))}")


@app.command()
def promote(
    version: Annotated[str, typer.Argument(help="version in the registry")],
    day: Day,
) -> None:
    """Hold a version against the champion of its week, and promote it if it is not clearly worse."""
    from recpipe.config.settings import load_settings
    from recpipe.days import parse_day
    from recpipe.promotion.gate import promote as hold

    _say(hold(load_settings(), version, parse_day(day)))


@app.command()
def withdraw(
    version: Annotated[str, typer.Argument(help="promoted version in the registry")],
    reason: Annotated[str, typer.Option("--reason", help="why, in a sentence; it is kept with the version")],
) -> None:
    """Take a version's promotion back: no new night is given it."""
    from recpipe.config.settings import load_settings
    from recpipe.promotion.withdraw import withdraw as take_back

    champion = take_back(load_settings(), version, reason)
    say(f"version {version} is withdrawn; version {champion} is the champion")
    say(f"A published day keeps its version: to make one anew, run `recpipe recommend --day DAY --model-version {champion}`.")


@app.command()
def nights(version: Annotated[str, typer.Argument(help="version in the registry")]) -> None:
    """List the nights whose lists a registered version made: day, table version, rows, and the run that published them."""
    from recpipe.config.settings import load_settings
    from recpipe.registry.nights import in_words
    from recpipe.registry.nights import nights as nights_of

    found = nights_of(load_settings(), version)
    if not found:
        say(f"No published night was made by version {version}: `recpipe models` shows the versions, `recpipe days` the days.")
        return
    say(f"version {version}: {in_words([one.day for one in found])}")
    for one in found:
        say(f"{one.day}  {one.table} version {one.table_version}  {one.rows:,} rows  run {one.run_id}")


@app.command(name="adopt-model")
def adopt_model(
    folder: Annotated[str, typer.Argument(help="model folder that `recpipe train` wrote in another shop")],
    day: Annotated[
        str | None,
        typer.Option("--day", help="the day before the first that it serves; the one before the first events if not given"),
    ] = None,
) -> None:
    """Register another shop's model and promote it, so that this shop serves from its first night; exit code 1 if it stays withdrawn."""
    from recpipe.config.settings import load_settings
    from recpipe.days import parse_day
    from recpipe.promotion.adopt import adopt

    decision = adopt(load_settings(), folder, parse_day(day) if day else None)
    _say(decision)
    if not decision.promoted:
        raise typer.Exit(1)


def _say(decision: Decision) -> None:
    say(f"version {decision.version} {'is promoted' if decision.promoted else 'is not promoted'}: {decision.reason}")
