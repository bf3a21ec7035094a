"""An encoder with weights of one byte, run by OpenVINO: a third of the time and a quarter of the size on a CPU.

Only weights are rounded, each row by its own scale; activations stay float32. So a vector still depends on its text alone,
which the engines that round activations by the range of a whole batch do not give.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recpipe.errors import BadSetting
from recpipe.files import to_json, write_whole
from recpipe.text.encoder import load_encoder
from recpipe.text.layers.int8 import openvino_runtime
from recpipe.text.loaders import INT8, RECIPE, open_model, read_recipe
from recpipe.training.encoder.methods import TOKENIZER_FILES


def export_int8(encoder: str, out: Path) -> dict[str, Any]:
    """Write an encoder folder with weights of one byte.

    Parameters
    ----------
    encoder
        Folder of the encoder, adapters and all; empty for the wheel's.
    out
        Folder to write: ``model.xml`` and ``model.bin`` in place of safetensors.

    Returns
    -------
    dict
        Matrices that were rounded, and bytes before and after.

    Raises
    ------
    BadSetting
        If OpenVINO is not installed, or the folder is of int8 already, or holds a prefix, whose keys and values do not
        follow the number of texts through OpenVINO's front end.
    """
    openvino = openvino_runtime()
    source = load_encoder(encoder)
    kind = read_recipe(source.folder).get("kind", "")
    if kind == INT8:
        raise BadSetting(f"{source.folder} is of format int8 already. Export the encoder that it was made from.")
    if kind == "prefix":
        raise BadSetting(f"{source.folder} holds a prefix, which cannot be exported. Fine-tune with lora, adapter or full.")
    graph = _graph(open_model(source.folder).network)
    rounded = round_weights(graph)
    out.mkdir(parents=True, exist_ok=True)
    for name in (*TOKENIZER_FILES, "config.json"):
        if (source.folder / name).is_file():
            shutil.copyfile(source.folder / name, out / name)
    openvino.save_model(graph, out / "model.xml", compress_to_fp16=False)
    write_whole(out / RECIPE, to_json({"kind": INT8}))
    size = sum(file.stat().st_size for file in source.folder.glob("*.safetensors"))
    return {"matrices": rounded, "bytes_before": size, "bytes_after": (out / "model.bin").stat().st_size}


def round_weights(graph: Any) -> int:
    """Put bytes, with a scale for each row, in place of every constant matrix of an OpenVINO graph; return how many."""
    from openvino import opset13 as ops

    rounded = 0
    for node in graph.get_ordered_ops():
        if node.get_type_name() != "Constant" or len(node.shape) != 2 or min(node.shape) < 2 or node.data.dtype != np.float32:
            continue
        whole, scale = to_bytes(np.array(node.data))
        bytes_ = ops.convert(ops.constant(whole, dtype=np.int8), np.float32)
        near = ops.multiply(bytes_, ops.constant(scale, dtype=np.float32))
        for user in node.output(0).get_target_inputs():
            user.replace_source_output(near.output(0))
        rounded += 1
    return rounded


def to_bytes(matrix: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Return (rows, columns) int8 and (rows, 1) scales whose product is the matrix, to half a scale."""
    scale = np.maximum(np.abs(matrix).max(1, keepdims=True), 1e-12) / 127
    return np.clip(np.rint(matrix / scale), -127, 127).astype(np.int8), scale.astype(np.float32)


def _graph(network: Any) -> Any:
    """Return the network as an OpenVINO graph of (input_ids, attention_mask) to the last hidden states.

    The front end is called by itself: the converter around it reports its use to its maker.
    """
    import torch
    from openvino.frontend import FrontEndManager
    from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

    class States(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> Any:
            return self.network(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state

    network.set_attn_implementation("eager")
    ids = torch.ones((2, 7), dtype=torch.long)
    front = FrontEndManager().load_by_framework("pytorch")
    with torch.no_grad():
        decoder = TorchScriptPythonDecoder(States().eval(), example_input=(ids, ids))
    return front.convert(front.load(decoder))
