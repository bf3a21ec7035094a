"""The bond of a model to the encoder that the settings name; no other model can serve."""

from __future__ import annotations

from pathlib import Path

from recpipe.config.model_settings import TextSettings
from recpipe.registry.model_folder import CONFIG, read_json


def foreign_encoder(text: TextSettings, folder: str | Path) -> str:
    """Return a sentence that names both encoders if a model folder is of another one than the settings; else empty.

    A folder that names no encoder fits any. Nights, the gate and the first champion go by this.
    """
    from recpipe.text.encoder import load_encoder

    wanted = str(read_json(Path(folder) / CONFIG).get("encoder") or "")
    if not wanted:
        return ""
    found = load_encoder(text.encoder).fingerprint
    if wanted == found:
        return ""
    return (
        f"was trained with encoder {wanted[:12]}, but the settings name encoder {found[:12]}. Set RECPIPE_ENCODER to the model's "
        f"encoder, or train with this one."
    )
