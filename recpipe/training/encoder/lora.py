"""Low-rank matrices beside a pretrained network: LoRA and AdaLoRA."""

from __future__ import annotations

from typing import Any


def low_rank(network: Any, method: str, rank: int, steps: int) -> Any:
    """Return the network with small matrices beside its linear layers; AdaLoRA gives up rank as the steps go by."""
    from peft import AdaLoraConfig, LoraConfig, TaskType, get_peft_model

    task = TaskType.FEATURE_EXTRACTION
    if method == "lora":
        config: Any = LoraConfig(
            task_type=task, r=rank, lora_alpha=2 * rank, target_modules="all-linear", exclude_modules=r"pooler\..*"
        )
    else:
        config = AdaLoraConfig(
            task_type=task,
            init_r=rank + rank // 2,
            target_r=rank,
            lora_alpha=2 * rank,
            tinit=steps // 6,
            tfinal=steps // 3,
            deltaT=max(1, steps // 50),
            total_step=steps,
            target_modules="all-linear",
            exclude_modules=r"pooler\..*",
        )
    return get_peft_model(network, config)


def merged(network: Any, method: str) -> Any:
    """Return the network with its small matrices added to those that they lie beside."""
    if method in ("lora", "adalora"):
        return network.merge_and_unload()
    return network.get_base_model() if method == "prefix" else network
