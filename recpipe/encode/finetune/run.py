"""Fine-tune an encoder on episodes: one file, from top to bottom.

Reads the training input of ``recpipe train`` with its texts, cuts the past into windows, learns on the earlier ones, and
compares text prototypes from the frozen and from the fine-tuned vectors on the last window. Into the folder ``out``:

- the encoder, as `recpipe.encode.load_encoder` loads it;
- ``metrics.jsonl``, ``summary.json``: how it went, before against after;
- ``checkpoint.safetensors`` while it runs: from where a killed run goes on, to the same bytes (not AdaLoRA, whose plan of
  ranks is in no checkpoint: it starts anew).
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recpipe.encode.encoder import fingerprint_of, load_encoder
from recpipe.encode.finetune.augment import View, drop_words, read_synonyms, replace_synonyms
from recpipe.encode.finetune.batches import Batch, draw_batch, windows_back
from recpipe.errors import BadSetting, TrainingFailed
from recpipe.learn.closed_forms import TextPrototype
from recpipe.learn.data import Evidence
from recpipe.learn.episodes_folder import read_episodes_folder
from recpipe.learn.folder import to_json, write_whole
from recpipe.learn.metrics import bootstrap, measure
from recpipe.learn.selection import Window

OBJECTIVES = ("contrastive", "pairs")
POPULARITY_WEIGHTS = (0.0, 0.1, 0.2, 0.5, 1.0, 2.0)
"""Weights of popularity beside cosines that are tried on the last window, for the frozen and the tuned vectors alike."""


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


def finetune(episodes_dir: Path, encoder: str, out_dir: Path, config: Config = Config()) -> dict[str, Any]:
    """Fine-tune, or go on fine-tuning, and write the encoder folder.

    Parameters
    ----------
    episodes_dir
        What `recpipe.learn.episodes_folder.write_episodes_folder` wrote.
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

    from recpipe.encode.finetune import methods
    from recpipe.encode.finetune.steady import Average, EmbeddingNoise
    from recpipe.encode.model import open_model
    from recpipe.learn import checkpoint

    # --- what to learn from, and what to look at
    if config.objective not in OBJECTIVES:
        raise BadSetting(f"Fine-tuning knows no objective '{config.objective}'. Choose one of {', '.join(OBJECTIVES)}.")
    source = load_encoder(encoder)
    evidence, facts = read_episodes_folder(episodes_dir)
    torch.set_num_threads(config.threads)
    if facts["encoder"] != source.fingerprint:  # vectors of another encoder tell nothing about this one's before and after
        evidence = _with_vectors(evidence, source.encode(evidence.catalogue.texts))
    past = windows_back(evidence, facts, config.window_days, range(2, config.windows + 2))
    last = windows_back(evidence, facts, config.window_days, [1])
    if not past or not last:
        raise TrainingFailed(
            f"The training input until {facts['fitted_until']} gives no episodes in {config.windows + 1} windows of "
            f"{config.window_days} days. Take more history in, or make the windows longer (--window-days)."
        )
    say(f"{sum(len(w.episodes) for w in past)} episodes of {len(past)} windows, {len(last[0].episodes)} to look at")
    before = measure_text_prototype(last[0], evidence.catalogue.vectors)
    say(f"before: nDCG@10 {before['ndcg']:.4f}, recall@10 {before['recall']:.4f}")

    temperature = config.temperature or frozen_temperature(past, config)
    say(f"temperature {temperature:.3f}")

    # --- the network, what of it is taught, and the optimiser
    model = open_model(source.folder)
    sizes = methods.Sizes(config.top_layers, config.rank, config.adapter_size, config.prefix_tokens)
    torch.manual_seed(config.seed)
    network = methods.prepare(model.network, config.method, sizes, config.steps)
    _set_dropout(network, config.dropout)
    head = torch.nn.Linear(source.dimensions, 2) if config.objective == "pairs" else None
    parameters = methods.taught(network) | ({f"head.{n}": p for n, p in head.named_parameters()} if head else {})
    rate = config.learning_rate or methods.LEARNING_RATES[config.method]
    optimiser = torch.optim.AdamW(list(parameters.values()), lr=rate, weight_decay=config.weight_decay)
    noise = EmbeddingNoise(network, config.adversarial) if config.adversarial > 0 else None
    average = Average(parameters, config.average) if config.average >= 0 else None
    count = sum(parameter.numel() for parameter in parameters.values())
    say(f"{config.method} teaches {count} of {sum(p.numel() for p in network.parameters())} parameters")

    # --- go on from where a killed run was
    run = hashlib.sha256(to_json([asdict(config), source.fingerprint, (episodes_dir / "facts.json").read_text()])).hexdigest()
    file, rows, losses, start = out_dir / "checkpoint.safetensors", [], [], 0
    found = checkpoint.read_checkpoint(file, "cpu")
    if found and found[1]["run"] == run:
        groups, state = found
        start, rows, losses = state["step"], state["rows"], state["losses"]
        with torch.no_grad():
            for name, parameter in parameters.items():
                parameter.copy_(groups["now"][name])
        checkpoint.restore_optimiser(optimiser, parameters, groups)
        if average:
            average.values, average.seen = groups["average"], state["seen"]
        say(f"going on from step {start}")

    # --- learn
    out_dir.mkdir(parents=True, exist_ok=True)
    views = text_views(config)
    began, texts_seen = time.monotonic(), 0
    network.train()
    for step in range(start, config.steps):
        random = np.random.default_rng([config.seed, step])  # of the step alone, so that a resumed run draws the same
        torch.manual_seed(int(random.integers(1 << 62)))  # of dropout
        for group in optimiser.param_groups:
            group["lr"] = rate * schedule(step, config.steps)
        window = past[int(random.integers(len(past)))]
        batch, _ = draw_batch(window, config.batch_users, config.support_items, config.hard_negatives, random)
        texts = [_viewed(evidence.catalogue.texts[row], views, random) for row in batch.item]
        forward, encoded = _pass_of(
            network, head, model.tokenizer, texts, batch, replace(config, temperature=temperature), random
        )
        loss = forward()
        loss.backward()
        if noise:
            noise.perturb()
            forward().backward()
            noise.clear()
        if config.method == "adalora":
            _spread(network).backward()
        if not np.isfinite(float(loss.detach())):
            raise TrainingFailed(f"Fine-tuning broke off at step {step}: the loss is {float(loss)}. Lower --learning-rate.")
        torch.nn.utils.clip_grad_norm_(list(parameters.values()), 1.0)
        optimiser.step()
        if config.method == "adalora":
            network.base_model.update_and_allocate(step)
        optimiser.zero_grad(set_to_none=True)
        if average:
            average.update(parameters)
        losses.append(float(loss.detach()))
        texts_seen += encoded * (2 if noise else 1)
        done = step + 1
        if done % 10 == 0 or done == config.steps:
            pace = texts_seen / (time.monotonic() - began)
            rows.append({"step": done, "loss": round(float(np.mean(losses)), 6)})
            say(f"step {done} of {config.steps}: loss {rows[-1]['loss']:.4f}, {pace:.0f} texts/s")
            losses = []
            write_whole(out_dir / "metrics.jsonl", b"".join(json.dumps(row, sort_keys=True).encode() + b"\n" for row in rows))
        if config.evaluate_every and done % config.evaluate_every == 0 and done < config.steps and config.method != "adalora":
            held = {"average": average.values} if average else {}
            groups = {"now": parameters, **held, **checkpoint.optimiser_tensors(optimiser, parameters)}
            state = {"run": run, "step": done, "rows": rows, "losses": losses, "seen": average.seen if average else 0}
            checkpoint.write_checkpoint(file, groups, state)
    seconds = time.monotonic() - began

    # --- what came of it
    if average:
        average.put_into(parameters)
    if noise:
        noise.remove()
    methods.save_encoder(network.eval(), config.method, sizes, source.folder, out_dir)
    after = measure_text_prototype(last[0], load_encoder(str(out_dir)).encode(evidence.catalogue.texts), before)
    say(f"after:  nDCG@10 {after['ndcg']:.4f}, recall@10 {after['recall']:.4f}")
    summary = {
        "config": asdict(config),
        "source": source.fingerprint,
        "fingerprint": fingerprint_of(out_dir),
        "trained_parameters": count,
        "before": _without(before, "per_user"),
        "after": _without(after, "per_user"),
    }
    write_whole(out_dir / "summary.json", to_json(summary))
    file.unlink(missing_ok=True)
    say(f"encoder is in {out_dir}; {texts_seen / max(seconds, 1e-9):.0f} texts/s, {seconds:.0f} s of learning")
    return {**summary, "texts_per_second": texts_seen / max(seconds, 1e-9), "seconds": seconds}


def measure_text_prototype(
    window: Window, vectors: NDArray[np.float32], against: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return nDCG@10 and recall@10 of text prototypes on a window, with the best of some weights of popularity.

    Parameters
    ----------
    vectors
        (items, d) unit vectors of the catalogue.
    against
        The answer for other vectors on the same window: then with ``gain``, each one's best weight, and
        ``gain_by_weight``, the same weight for both, as mean difference and 95 % interval over users.

    Returns
    -------
    dict
        Also ``mean_cosine`` of pairs of items: vectors that fell together tell nothing apart. ``per_user`` holds
        (users,) nDCG by weight.
    """
    evidence = _with_vectors(window.evidence, vectors)
    found = {w: measure(TextPrototype(popularity_weight=w), evidence, window.episodes) for w in POPULARITY_WEIGHTS}
    weight = max(found, key=lambda w: (float(found[w].ndcg.mean()), -w))
    per_user = {str(w): quality.ndcg for w, quality in found.items()}
    out: dict[str, Any] = {
        "ndcg": float(found[weight].ndcg.mean()),
        "recall": float(found[weight].recall.mean()),
        "popularity_weight": weight,
        "ndcg_by_weight": {w: float(ndcg.mean()) for w, ndcg in per_user.items()},
        "mean_cosine": _mean_cosine(vectors),
        "users": len(window.episodes),
        "per_user": per_user,
    }
    if against is not None:
        old = against["per_user"]
        out["gain"] = _gain(per_user[str(weight)], old[str(against["popularity_weight"])])
        out["gain_by_weight"] = {w: _gain(per_user[w], old[w]) for w in per_user}
    return out


def _gain(new: NDArray[np.float64], old: NDArray[np.float64]) -> dict[str, float]:
    low, high = bootstrap(new - old)
    return {"mean": float((new - old).mean()), "low": low, "high": high}


def _mean_cosine(vectors: NDArray[np.float32]) -> float:
    """Return the mean cosine of two different items' vectors."""
    total, items = vectors.sum(0, dtype=np.float64), len(vectors)
    return float((total @ total - items) / max(items * (items - 1), 1))


def frozen_temperature(windows: Sequence[Window], config: Config) -> float:
    """Return the temperature of the least contrastive loss with the vectors of the catalogue as they are."""
    import torch

    from recpipe.encode.finetune.objectives import contrastive_loss

    random = np.random.default_rng([config.seed, 1 << 20])
    batches = [
        draw_batch(window, config.batch_users, config.support_items, config.hard_negatives, random)[0] for window in windows
    ]
    vectors = [torch.from_numpy(w.evidence.catalogue.vectors[b.item]) for w, b in zip(windows, batches, strict=True)]

    def loss(temperature: float) -> float:
        return sum(float(contrastive_loss(v, b, temperature)) for v, b in zip(vectors, batches, strict=True))

    return min((float(t) for t in np.geomspace(0.02, 1.0, 18)), key=loss)


def table(summary: Mapping[str, Any]) -> str:
    """Return before and after as lines for people."""
    before, after = summary["before"], summary["after"]
    gain = after["gain"]
    lines = [f"{'text prototype':<16}{'nDCG@10':>9}{'recall@10':>11}{'popularity':>12}"]
    for name, found in (("before", before), ("after", after)):
        lines.append(f"{name:<16}{found['ndcg']:>9.4f}{found['recall']:>11.4f}{found['popularity_weight']:>12}")
    lines.append(f"gain {gain['mean']:+.4f} ({gain['low']:+.4f} to {gain['high']:+.4f}), {after['users']} users")
    alone = after["gain_by_weight"]["0.0"]
    lines.append(
        f"without popularity {before['ndcg_by_weight']['0.0']:.4f} to {after['ndcg_by_weight']['0.0']:.4f}, "
        f"gain {alone['mean']:+.4f} ({alone['low']:+.4f} to {alone['high']:+.4f}); "
        f"mean cosine of two items {before['mean_cosine']:.3f} to {after['mean_cosine']:.3f}"
    )
    return "\n".join(lines)


def text_views(config: Config) -> list[View]:
    """Return the ways in which each text is changed while learning."""
    views = []
    if config.synonyms:
        views.append(replace_synonyms(read_synonyms(Path(config.synonyms)), config.synonym_share))
    if config.word_dropout > 0:
        views.append(drop_words(config.word_dropout))
    return views


def schedule(step: int, steps: int) -> float:
    """Return the share of the learning rate at a step: a line up over a tenth of the steps, then a line down to zero."""
    rise = max(1, steps // 10)
    return min((step + 1) / rise, (steps - step) / max(steps - rise, 1), 1.0)


def say(text: str) -> None:
    """Print a line of progress at once."""
    print(text, flush=True)


def _pass_of(
    network: Any, head: Any, tokenizer: Any, texts: list[str], batch: Batch, config: Config, random: np.random.Generator
) -> tuple[Any, int]:
    """Return the function that computes the loss of a batch, and how many texts it encodes."""
    from recpipe.encode.finetune.objectives import contrastive_loss, pair_loss, pairs_of, unit_vectors, views_loss

    if config.objective == "pairs":
        pairs, labels = pairs_of(batch, config.negatives, random)
        users = [", ".join(texts[t] for t in np.argsort(-row, kind="stable") if row[t] > 0) for row in batch.support]
        tokens = _tokens(tokenizer, [users[u] for u, _ in pairs], config, [texts[i] for _, i in pairs])
        return lambda: pair_loss(network, head, tokens, labels), len(pairs)
    tokens = _tokens(tokenizer, texts, config)

    def forward() -> Any:
        vectors = unit_vectors(network, tokens)
        loss = contrastive_loss(vectors, batch, config.temperature)
        if config.views > 0:
            loss = loss + config.views * views_loss(vectors, unit_vectors(network, tokens), config.temperature)
        return loss

    return forward, len(texts) * (2 if config.views > 0 else 1)


def _tokens(tokenizer: Any, texts: list[str], config: Config, others: list[str] | None = None) -> Any:
    limit = config.max_tokens * (2 if others else 1)
    tokens = tokenizer(texts, others, truncation=True, max_length=limit, padding=True, return_tensors="pt")
    if config.method == "prefix":
        tokens.pop("token_type_ids", None)  # peft has no place for them there
    return tokens


def _viewed(text: str, views: Sequence[View], random: np.random.Generator) -> str:
    for view in views:
        text = view(text, random)
    return text


def _set_dropout(network: Any, share: float) -> None:
    import torch

    if share >= 0:
        for part in network.modules():
            if isinstance(part, torch.nn.Dropout):
                part.p = share


def _spread(network: Any, strength: float = 0.1) -> Any:
    """Return AdaLoRA's term that keeps the singular vectors of each matrix apart (Zhang et al. 2023, equation 4)."""
    import torch

    total = torch.zeros(())
    for name, parameter in network.named_parameters():
        if "lora_A" in name or "lora_B" in name:
            gram = parameter @ parameter.T if "lora_A" in name else parameter.T @ parameter
            total = total + (gram - torch.eye(len(gram))).square().sum()
    return strength * total


def _with_vectors(evidence: Evidence, vectors: NDArray[np.float32]) -> Evidence:
    return replace(evidence, catalogue=replace(evidence.catalogue, vectors=vectors))


def _without(found: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in found.items() if key != name}
