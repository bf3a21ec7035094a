"""The user meant by an id that a person types."""

from __future__ import annotations

from recpipe.config.settings import Settings
from recpipe.errors import BadSetting
from recpipe.user_ids.keys import has_key, is_user_key, typed_user


def asked_user(settings: Settings, typed: str) -> str:
    """Return the user id as the tables have it, of a raw id or of what stands in the tables already.

    Raises
    ------
    BadSetting
        If the lake is kept under another key, or under one and none is set; the text says what to do.
    """
    from recpipe.lake.key_claim import fingerprint_of
    from recpipe.lake.lake import Lake

    lake = Lake.from_settings(settings)
    lake.check_key()
    if (
        not has_key(settings.privacy)
        and not is_user_key(typed)
        and (kept := fingerprint_of(lake.root, dict(lake.storage_options)))
    ):
        raise BadSetting(
            f"The tables in {lake.root} know users by keys alone (fingerprint {kept}). Set RECPIPE_USER_KEY to ask for raw ids, or ask "
            f"for the 64 digits that `recpipe user-key` prints."
        )
    return typed_user(settings, typed)
