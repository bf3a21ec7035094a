"""Encoders with weights of one byte, opened by OpenVINO."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from recpipe.errors import BadSetting

MISSING = "Encoders of format int8 need OpenVINO, which is not installed: pip install 'recpipe[export]'."


def open_int8(folder: Path) -> Any:
    """Return a network that answers like one of transformers.

    Raises
    ------
    BadSetting
        If OpenVINO is not installed.
    """
    openvino = openvino_runtime()
    import torch
    from transformers import AutoConfig

    settings = {"INFERENCE_NUM_THREADS": torch.get_num_threads(), "INFERENCE_PRECISION_HINT": "f32",
                "DYNAMIC_QUANTIZATION_GROUP_SIZE": "0", "NUM_STREAMS": 1}  # fmt: skip
    request = openvino.Core().compile_model(folder / "model.xml", "CPU", settings).create_infer_request()

    class Int8:
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)

        def __call__(self, input_ids: Any, attention_mask: Any) -> Any:
            states = request.infer([input_ids.numpy(), attention_mask.numpy()])[0]
            return SimpleNamespace(last_hidden_state=torch.from_numpy(np.array(states)))

        def eval(self) -> Int8:
            return self

    return Int8()


def openvino_runtime() -> Any:
    try:
        import openvino
    except ImportError:
        raise BadSetting(MISSING) from None
    return openvino
