"""Settings of texts, training, promotion and jobs."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from recpipe.config import checks
from recpipe.config.part import Part


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


class TrainingSettings(Part):
    """How models are trained."""

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
    train_weeks: int = Field(52, gt=0, le=5_200, description="weeks of history that a training run sees")


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
