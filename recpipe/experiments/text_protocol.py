"""Few-shot text classification: a file of texts with labels in, a file with labels for other texts out."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pandas as pd

from recpipe.errors import BadSetting
from recpipe.files import whole_file
from recpipe.text.classes import classifier
from recpipe.text.encoder import load_encoder


def run(train: Path, test: Path, out: Path, encoder: str = "", *, seed: int = 0, cache: Path | None = None) -> dict[str, Any]:
    """Learn from ``train``, classify ``test``, write ``out``.

    Parameters
    ----------
    train
        Parquet or CSV with columns ``text`` (may be missing or empty) and ``label`` (text or whole numbers).
    test
        Parquet or CSV with a column ``text``.
    out
        Gets ``label`` and ``confidence`` (probability of that label, 0 to 1), in the row order of ``test``.
    encoder
        Folder of an encoder; empty for the wheel's; ``none``: n-grams alone.
    cache
        Folder for vectors that were computed before.

    Returns
    -------
    dict
        What was chosen: share of the encoder, regularisation, temperature, accuracy of texts left out, seconds.

    Raises
    ------
    BadSetting
        If a file or column is missing, a label is missing, or there is only one class.
    """
    began = time.monotonic()
    known, asked = read_table(train, ("text", "label")), read_table(test, ("text",))
    if known["label"].isna().any():
        row = int(known["label"].isna().to_numpy().argmax())
        raise BadSetting(f"{train}, row {row + 1}: column 'label' is empty. Every training text needs a label.")
    encode = None if encoder == "none" else load_encoder(encoder, cache).encode
    fitted = classifier.fit(_texts(known), known["label"].tolist(), encode, seed=seed)
    labels, confidence = fitted.predict(_texts(asked))
    table = pd.DataFrame({"label": pd.Series(labels, dtype=known["label"].dtype), "confidence": confidence})
    write_table(table, out)
    chosen = fitted.setting
    facts = {
        "classes": len(fitted.classes),
        "shots": len(known),
        "texts": len(asked),
        "head": chosen.head,
        "encoder_share": chosen.share,
        "words_of_labels": chosen.words,
        "strength": chosen.strength,
        "temperature": round(chosen.temperature, 4),
        "left_out_accuracy": round(chosen.accuracy, 4),
        "seconds": round(time.monotonic() - began, 1),
    }
    print(", ".join(f"{name} {value}" for name, value in facts.items()), flush=True)
    return facts


def read_table(file: Path, columns: tuple[str, ...]) -> pd.DataFrame:
    """Read a Parquet or CSV file that must have some columns.

    Raises
    ------
    BadSetting
        If it does not, or is no such file.
    """
    if not file.is_file():
        raise BadSetting(f"There is no file {file}. Name a Parquet or CSV file with the columns {', '.join(columns)}.")
    table = pd.read_parquet(file) if file.suffix == ".parquet" else pd.read_csv(file, keep_default_na=False, na_values=[""])
    missing = [name for name in columns if name not in table]
    if missing:
        raise BadSetting(
            f"{file} has no column '{missing[0]}', only {', '.join(map(str, table.columns))}. Rename the column that is meant."
        )
    return table


def write_table(table: pd.DataFrame, file: Path) -> None:
    """Write Parquet or CSV, as the name of the file ends."""
    with whole_file(file) as part:
        if file.suffix == ".parquet":
            table.to_parquet(part, index=False)
        else:
            table.to_csv(part, index=False)


def _texts(table: pd.DataFrame) -> list[str]:
    return ["" if pd.isna(text) else str(text) for text in table["text"]]
