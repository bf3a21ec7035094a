"""The settings of fine-tuning."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

OBJECTIVES: Final = ("contrastive", "pairs")


@dataclass(frozen=True)
class Config:
    """What can be set about fine-tuning.

    Attributes
    ----------
    method, objective
        One of ``methods.METHODS``; ``contrastive`` (users' prototypes against items) or ``pairs`` (the plain baseline:
        a classifier of user text × item text).
    top_layers, rank, adapter_size, prefix_tokens
        As in ``methods.Sizes``.
    steps, batch_users, learning_rate, weight_decay
        Updates, episodes an update, AdamW's rate (0: the method's own) and decay.
    temperature
        Through which cosines become logits; 0: the one of least loss with the frozen vectors. One that is too low for what
        texts tell of a shop's users teaches the network little but to say less (0.05 on Online Retail II).
    support_items, negatives, hard_negatives
        Newest items of a user at most; other candidates a pair (``pairs``); items that look alike, a user.
    window_days, windows
        Length of a window; windows before the last one that are learned from.
    max_tokens
        Where texts are cut while learning (pairs: twice that).
    dropout
        Of the network while learning; below 0: as its configuration says.
    word_dropout, synonyms, synonym_share
        Share of words left out of each text; file of synonyms and share of words replaced.
    views
        Weight of the loss that brings two dropout views of each text together.
    adversarial
        Length of the noise on embeddings (0: none); titles' embeddings of all-MiniLM-L6-v2 have a length of some 4.
    average
        Decay of the weights' running average; below 0: no average.
    evaluate_every
        Updates between checkpoints; 0: none. The last window is looked at before and after learning only.
    seed, threads
        Of all that is drawn; of torch.
    """

    method: str = "lora"
    objective: str = "contrastive"
    top_layers: int = 2
    rank: int = 8
    adapter_size: int = 32
    prefix_tokens: int = 8
    steps: int = 150
    batch_users: int = 32
    learning_rate: float = 0.0
    weight_decay: float = 0.01
    temperature: float = 0.0
    support_items: int = 4
    negatives: int = 3
    hard_negatives: int = 0
    window_days: int = 28
    windows: int = 8
    max_tokens: int = 32
    dropout: float = -1.0
    word_dropout: float = 0.0
    synonyms: str = ""
    synonym_share: float = 0.2
    views: float = 0.0
    adversarial: float = 0.0
    average: float = -1.0
    evaluate_every: int = 0
    seed: int = 0
    threads: int = 1


DEFAULTS: Final = Config()
