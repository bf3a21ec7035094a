"""The input of a fine-tuning run: training input, texts of the catalogue, and the encoder that it begins with."""

from __future__ import annotations

from datetime import date
from pathlib import Path

from recpipe.config.settings import Settings
from recpipe.dataset.catalogue_reader import read_item_texts
from recpipe.dataset.export import export_training
from recpipe.days import ONE_DAY
from recpipe.files import to_json, write_whole
from recpipe.lake.lake import Lake
from recpipe.registry.encoder_versions import open_run, tuned_folder
from recpipe.text.encoder import load_encoder

TEXTS = "texts.json"


def export_finetuning(settings: Settings, day: date) -> dict[str, str]:
    """Write what a fine-tuning run reads, and open the MLflow run that its curves are streamed to.

    The course begins with the plain encoder, whose vectors are in the training input: what earlier months taught is in the history
    that it learns from, and nothing drifts from month to month.

    Parameters
    ----------
    settings
        ``train_weeks`` says how much history the run sees, ``gate_days`` how many days are kept from it.
    day
        ``trained_until`` of the encoder to be.

    Returns
    -------
    dict
        ``episodes`` (folder of the training input), ``texts`` (file with the texts of the catalogue of the day), ``encoder`` (folder),
        ``run`` (id of the MLflow run).
    """
    plain = settings.changed(tuned_encoder="")
    episodes = Path(export_training(plain, day))
    lake = Lake.from_settings(settings)
    write_whole(episodes / TEXTS, to_json(read_item_texts(lake.reader(lake.versions_now(["items"])), day)))
    encoder = load_encoder(settings.text.encoder).folder
    places = {"episodes": episodes, "texts": episodes / TEXTS, "encoder": encoder}
    return {**{name: str(place.resolve()) for name, place in places.items()}, "run": open_run(settings, str(day))}


def folder_to_encode(settings: Settings, day: date) -> str:
    """Return the folder of the encoder that serves after a day, the plain one where none is promoted: the next catalogue is read by it."""
    return tuned_folder(settings, day + ONE_DAY) or str(load_encoder(settings.text.encoder).folder)
