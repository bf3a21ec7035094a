"""Settings of texts, training, promotion and jobs."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from recpipe.config import checks
from recpipe.config.part import Part
from recpipe.printable import named as shown


class TextSettings(Part):
    """How texts become vectors."""

    encoder: str = Field(
        "",
        description="folder that transformers' AutoModel loads, or 'multilingual', which `recpipe install-encoder` makes; "
        "all-MiniLM-L6-v2 from its wheel if empty",
    )
    tuned_encoder: str = Field(
        "",
        description="folder of an encoder that was fine-tuned on the shop's episodes; its vectors stand beside the other's as evidence. "
        "If empty, nights and trainings take the promoted one of their day from the registry",
    )


LEARNERS = Literal[
    "pair_network",
    "stack",
    "prototypical",
    "proto_maml",
    "maml",
    "maml_first_order",
    "anil",
    "ridge_head",
    "attention",
    "lstm",
]
"""Every learner that can be trained; the page docs/learners.md says what each does."""


def option_of(words: Sequence[str], name: str) -> str:
    """Return the value that words give an option, ``--learner maml`` or ``--learner=maml``; of several the last, else empty.

    Examples
    --------
    >>> option_of(["--steps", "3", "--learner=maml"], "--learner")
    'maml'
    """
    apart = [(place, value) for place, (word, value) in enumerate(itertools.pairwise(words)) if word == name]
    joined = [(place, word.split("=", 1)[1]) for place, word in enumerate(words) if word.startswith(f"{name}=")]
    return max([*apart, *joined], default=(0, ""))[1]


class TrainingSettings(Part):
    """How models are trained."""

    learner: LEARNERS = Field(
        "pair_network", description="learner that train_meta_model trains; docs/learners.md says what each does"
    )
    seed: int = Field(20_110_829, ge=0, le=4_294_967_295, description="seed of everything random")
    train_options: list[str] = Field(
        default_factory=list, description="further options of `recpipe train` in train_meta_model, such as --batch-users and 32"
    )
    train_from: str = Field(
        "",
        description="what train_meta_model goes on from unless its run says: 'champion', a version's number, another shop's model "
        "folder, or models:/NAME/VERSION; nothing if empty",
    )
    train_queue: str = Field(
        "default",
        min_length=1,
        description="queue of the workers that train, where workers take queues (Celery); the others' if left alone",
    )
    finetune_options: list[str] = Field(
        default_factory=list,
        description="further options of `recpipe finetune-encoder` in finetune_encoder, such as --method and full",
    )
    encoder_lead_weeks: int = Field(
        2,
        ge=0,
        le=520,
        description="weeks before the last day of a training's input that its fine-tuned encoder has not seen: those by which training "
        "judges whether its vectors pay, and when to stop",
    )
    small_encoder: Literal["", "distil", "int8"] = Field(
        "",
        description="small form of a promoted encoder that finetune_encoder makes as well: 'distil' (two of its layers) or 'int8' (needs "
        "OpenVINO); it serves where it keeps 99 % of the nDCG at twice the pace. None if empty",
    )
    train_weeks: int = Field(52, gt=0, le=5_200, description="weeks of history that a training run sees")

    @model_validator(mode="after")
    def _one_learner(self) -> Self:
        named = option_of(self.train_options, "--learner")
        if named and "learner" in self.model_fields_set and named != self.learner:
            raise ValueError(
                f"RECPIPE_LEARNER says {self.learner} and RECPIPE_TRAIN_OPTIONS says --learner {shown(named)}: name the learner in one "
                f"of them, best in RECPIPE_LEARNER"
            )
        return self

    @property
    def run_options(self) -> list[str]:
        """Options of `recpipe train`: the learner where one is set, and ``train_options``.

        A learner that is not set is left to ``train_options``, which may name one by --learner or in the file of --settings.
        """
        named = "learner" in self.model_fields_set and not option_of(self.train_options, "--learner")
        return [*(("--learner", self.learner) if named else ()), *self.train_options]


class PromotionSettings(Part):
    """Under which name models are registered, and when one is promoted."""

    registered_model: str = Field("recpipe", description="name in the model registry")
    registered_encoder: str = Field("recpipe-encoder", description="name of the text encoders in the model registry")
    promotion_margin: float = Field(
        -0.05,
        ge=-100,
        le=1_000,
        description="a candidate is promoted when the lower end of its paired relative gain is above this",
    )
    approval_hours: float = Field(
        0.0,
        ge=0,
        le=8_760,
        description="hours that a person has to approve a promotion that passed the gate, on Airflow's page of required actions; "
        "without an answer it is rejected. 0: nobody is asked",
    )
    gate_days: int = Field(7, gt=0, le=366, description="days before the promotion on which candidate and champion are compared")

    @field_validator("registered_model", "registered_encoder")
    @classmethod
    def _model(cls, value: str) -> str:
        checks.name_of_model(value)
        return value


class JobSettings(Part):
    """Where jobs run: training, and whatever wants a GPU."""

    job_place: Literal["process", "docker", "kubernetes"] = Field(
        "process",
        description="where jobs run: a process of the worker (on Celery, of the queue of train_queue), a container, or a pod",
    )
    job_image: str = Field("", description="image of the container or pod, such as registry.example.org/recpipe:gpu")
    job_gpus: int = Field(
        1,
        ge=0,
        le=1_024,
        description="GPUs of the container or pod, and processes that fine-tune the encoder "
        "together, one a GPU and a slot of the pool gpu each; 0 where there is none",
    )
    job_cpus: float = Field(0.0, ge=0, le=100_000, description="most processors of the container or pod; 0: no limit")
    job_memory_gb: float = Field(0.0, ge=0, le=1_000_000, description="most memory (GiB) of the container or pod; 0: no limit")
    job_volume: str = Field(
        "",
        description="what holds the home, and is mounted at the home's own path: for Docker a volume or a folder of its host (the home "
        "itself if empty), for Kubernetes a persistent volume claim",
    )
    job_namespace: str = Field("", description="namespace of the pod; the worker's own if empty")
    job_minutes: float = Field(
        0.0, ge=0, le=43_200, description="minutes after which a job is stopped; 0: the time limit of its task"
    )
