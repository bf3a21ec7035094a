"""The whole way on real texts: titles, encoder, training, and an item that nobody has bought yet."""

import dataclasses

import numpy as np
import pytest

from recpipe.dataset.folder import write_episodes_folder
from recpipe.models.base import score
from recpipe.models.io import load
from recpipe.training.config import Config
from recpipe.training.loop import train

KINDS = ("TEA MUG", "CHRISTMAS GARLAND", "GARDEN LANTERN", "BABY BLANKET", "LUNCH BOX")
LOOKS = ("RED SPOT", "BLUE STRIPE", "VINTAGE ROSE", "PINK POLKADOT", "GREEN LEAF", "SILVER STAR", "WOODLAND", "OWL DESIGN", "PAISLEY",
         "SMALL HEART", "LARGE HEART", "DOILY", "IVORY", "RETRO")  # fmt: skip


@pytest.mark.slow
def test_a_new_item_goes_to_those_who_buy_its_like(evidence, facts, make_support, tmp_path):
    from recpipe.text.encoder import load_encoder

    titles = [f"{look} {kind}" for look in LOOKS for kind in KINDS]  # item n is of kind n mod 5, as the shop's users like it
    encoder = load_encoder("", tmp_path / "cache")
    catalogue = dataclasses.replace(evidence.catalogue, texts=titles, vectors=encoder.encode(titles))
    shop = dataclasses.replace(evidence, catalogue=catalogue)
    write_episodes_folder(tmp_path / "input", shop, {**facts, "encoder": encoder.fingerprint})
    train(tmp_path / "input", tmp_path / "model", Config(steps=60, width=32, cutoffs=4, batch_users=32, evaluate_every=20))
    learner = load(tmp_path / "model")
    space = learner.items(shop)
    supports = [[(kind, 1, 1.0), (kind + 10, 1, 1.0), (kind + 20, 1, 1.0)] for kind in range(5)]
    scores = score(space, learner.adapt(space, make_support(*supports)))
    unsold = scores[:, 65:]  # one item of each kind, that nobody has met
    assert np.argmax(unsold, axis=1).tolist() == [0, 1, 2, 3, 4]
