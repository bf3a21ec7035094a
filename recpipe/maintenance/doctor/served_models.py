"""Checks of the model, its encoder, and the key of user ids."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from typing import Final

from recpipe.config.settings import Settings
from recpipe.errors import BadSetting, MissingModel, RecpipeError
from recpipe.lake.key_claim import fingerprint_of, hold_against
from recpipe.lake.lake import Lake
from recpipe.maintenance.doctor.finding import Finding, ok, warn, wrong
from recpipe.user_ids.keys import fingerprint, has_key

LOAD: Final = """
import sys
from recpipe.text.encoder import load_encoder
encoder = load_encoder(sys.argv[1])
encoder.encode(["a cup"])
print(encoder.fingerprint)
"""
LOAD_SECONDS: Final = 120


def user_key(settings: Settings) -> Iterator[Finding]:
    """Say whether the key of user ids can be read, and is the one that the lake is kept under."""
    try:
        given = fingerprint(settings)
        lake = Lake.from_settings(settings)
        kept = fingerprint_of(lake.root, dict(lake.storage_options))
        if kept and not given:
            yield warn(
                "user key",
                f"none is set here, and the lake is kept under one (its fingerprint is {kept})",
                "Where Airflow's connection recpipe_user_key has it, that is right; else set RECPIPE_USER_KEY or RECPIPE_USER_KEY_FILE.",
            )
            return
        hold_against(lake.root, kept, given, bool(lake.days()))
    except BadSetting as error:
        yield wrong("user key", str(error), "Mend RECPIPE_USER_KEY or RECPIPE_USER_KEY_FILE.")
        return
    if has_key(settings.privacy):
        yield ok("user key", "set, and the lake's" if kept else "set; the lake is new")
    else:
        yield ok("user key", "none: ids stand in the tables as the shop delivers them (docs/security.md)")


def encoder_and_champion(settings: Settings) -> Iterator[Finding]:
    """Say whether the encoder loads and encodes, and the champion was trained with it."""
    process = subprocess.Popen(
        [sys.executable, "-c", LOAD, settings.text.encoder], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:  # MLflow is asked while it loads
        champion = _champion(settings)
        said, error = process.communicate(timeout=LOAD_SECONDS)
    except subprocess.TimeoutExpired:
        said, error = "", "it takes too long"
    finally:
        process.kill()
        process.wait()
    found = said.strip().splitlines()[-1] if said.strip() and process.returncode == 0 else ""
    if found:
        yield ok("encoder", f"{found[:12]} loads and encodes")
    else:
        why = (error.strip().splitlines() or ["it said nothing"])[-1]
        yield wrong(
            "encoder", f"it does not load: {why}", "Mend RECPIPE_ENCODER; `recpipe install-encoder multilingual` makes that one."
        )
    yield from _compared(settings, champion, found)


def _compared(settings: Settings, champion: tuple[str, str] | Finding, encoder: str) -> Iterator[Finding]:
    if isinstance(champion, Finding):
        yield champion
        return
    version, wanted = champion
    if wanted and encoder and wanted != encoder:
        from recpipe.registry.encoder_versions import encoders

        says = f"version {version} was trained with encoder {wanted[:12]}, the settings name {encoder[:12]}"
        if any(known.content == wanted for known in encoders(settings)):
            yield ok("champion", f"{says}: nights read with the model's own, which is registered")
            return
        todo = "Set RECPIPE_ENCODER to the model's encoder, or run train_meta_model with this one."
        yield wrong("champion", f"{says}: no night can be made", todo)
    else:
        yield ok("champion", f"version {version} serves, with this encoder")


def _champion(settings: Settings) -> tuple[str, str] | Finding:
    """Return the newest promoted version and the encoder that it was trained with; or what is the matter."""
    from mlflow.exceptions import MlflowException

    from recpipe.local.mlflow_database import sqlite_file
    from recpipe.registry.serving import champion
    from recpipe.registry.store import client
    from recpipe.registry.versions import all_versions, find

    file = sqlite_file(settings.places.tracking_uri)
    if file is not None and not file.is_file() and not settings.places.mlflow_uri:
        return warn("champion", "no model is registered yet", "Run train_meta_model for a week, or `recpipe adopt-model`.")
    try:
        store = client(settings)
        version = find(all_versions(store, settings.promotion), champion(settings), settings.promotion)
        params = store.get_run(version.run_id).data.params
    except MissingModel:
        return warn("champion", "no model is promoted yet", "Run train_meta_model for a week, or `recpipe adopt-model`.")
    except RecpipeError as error:
        return wrong("champion", str(error), "See above: the check of MLflow says what to do.")
    except (MlflowException, OSError) as error:
        return wrong(
            "champion", f"MLflow cannot be asked ({type(error).__name__})", "Look at RECPIPE_MLFLOW_URI and at the server."
        )
    return str(version.number), str(params.get("encoder", ""))
