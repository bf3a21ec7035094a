"""The settings of fine-tuning."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from recpipe.errors import BadSetting

OBJECTIVES: Final = ("contrastive", "pairs", "prototypical", "maml")
MAML_ORDERS: Final = ("first", "reptile", "second-on-head")
OPTIMISERS: Final = ("adamw", "adafactor")
SCHEDULES: Final = ("linear", "cosine", "constant")
PRECISIONS: Final = ("float32", "bfloat16")
DEVICES: Final = ("auto", "cpu", "cuda")
INNER_RATES: Final = {"first": 1e-2, "reptile": 1e-2, "second-on-head": 0.3}
"""Inner learning rate of each order of MAML where none is given: that of the head was tried on two shops (0.03, 0.1, 0.3)."""


@dataclass(frozen=True)
class Config:
    """What can be set about fine-tuning.

    Attributes
    ----------
    method, objective
        One of ``methods.METHODS``; ``contrastive`` (users' prototypes against items), ``prototypical`` (distances to users'
        prototypes, with hard negatives), ``maml`` (what the method teaches is an initialisation for a few steps on a support)
        or ``pairs`` (the plain baseline: a classifier of user text × item text).
    top_layers, rank, adapter_size, prefix_tokens
        As in ``methods.Sizes``.
    steps, batch_users, learning_rate, weight_decay
        Updates, episodes an update, AdamW's rate (0: the method's own) and decay.
    temperature
        Through which cosines become logits; 0: the one of least loss with the frozen vectors. One that is too low for what
        texts tell of a shop's users teaches the network little but to say less (0.05 on Online Retail II).
    support_items, negatives, hard_negatives
        Newest items of a user at most; other candidates a pair (``pairs``); items that look alike, a user (None: the
        objective's own, 1 for ``prototypical`` and 0 for the others).
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
        Updates between checkpoints, and between looks where there are any; 0: no checkpoint, and a tenth of the steps between
        looks. The last window is looked at before and after learning only.
    seed, threads
        Of all that is drawn; of torch, in each process.
    device, precision
        ``auto``, ``cpu`` or ``cuda``; ``float32``, or ``bfloat16`` for the passes through the network (weights, losses and the
        optimiser stay float32).
    accumulate
        Batches an update, in each process: gradients of all of them are averaged.
    gradient_checkpointing
        Whether states inside the network are computed again on the way back: less memory, a third more work.
    clip
        Greatest length of the gradient; 0: as long as it is.
    optimiser, schedule
        One of `OPTIMISERS`; how the rate goes down after its rise over a tenth of the steps, one of `SCHEDULES`.
    patience
        Looks without a gain after which learning ends, on a window of its own between those that are learned from and the last
        one; the best weights are kept. 0: no looks, every step is made.
    inner_steps, inner_rate, maml_order
        Of ``maml``: steps on a support, their rate (0: the order's own), and one of `MAML_ORDERS`.
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
    hard_negatives: int | None = None
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
    device: str = "auto"
    precision: str = "float32"
    accumulate: int = 1
    gradient_checkpointing: bool = False
    clip: float = 1.0
    optimiser: str = "adamw"
    schedule: str = "linear"
    patience: int = 0
    inner_steps: int = 3
    inner_rate: float = 0.0
    maml_order: str = "first"

    @property
    def hard(self) -> int:
        """Hard negatives a user."""
        own = 1 if self.objective == "prototypical" else 0
        return own if self.hard_negatives is None else self.hard_negatives

    @property
    def rate_of_inner_steps(self) -> float:
        """Learning rate of a step on a support."""
        return self.inner_rate or INNER_RATES[self.maml_order]

    @property
    def look_every(self) -> int:
        """Updates between two looks at the window that stops."""
        return self.evaluate_every or max(1, self.steps // 10)

    def check(self) -> None:
        """Refuse values that are none of those that are known, and settings that exclude each other.

        Raises
        ------
        BadSetting
            With the values to choose from.
        """
        known = {
            "objective": OBJECTIVES, "maml_order": MAML_ORDERS, "optimiser": OPTIMISERS, "schedule": SCHEDULES,
            "precision": PRECISIONS, "device": DEVICES,
        }  # fmt: skip
        for name, values in known.items():
            if getattr(self, name) not in values:
                said = f"{name.replace('_', ' ')} '{getattr(self, name)}'"
                raise BadSetting(f"Fine-tuning knows no {said}. Choose one of {', '.join(values)}.")
        if self.gradient_checkpointing and self.method == "prefix":
            raise BadSetting("A prefix is what gradient checkpointing would compute again: leave one of the two out.")
        if self.objective == "maml" and (self.adversarial > 0 or self.views > 0):
            raise BadSetting("Objective maml makes its own passes: leave --adversarial and --views out.")
        if self.objective == "maml" and self.method == "adalora":
            raise BadSetting("Objective maml needs small matrices of a rank that stays: use method lora in the place of adalora.")


DEFAULTS: Final = Config()
