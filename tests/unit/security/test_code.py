"""What code of ours never does: read a pickle, hand a text to a shell, or run a text as code."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
FILES = sorted(path for room in ("recpipe", "plugins", "dags") for path in (ROOT / room).rglob("*.py"))
MODULES = ("pickle", "cPickle", "_pickle", "cloudpickle", "dill", "joblib", "shelve", "marshal", "pty")
CALLS = ("eval", "exec", "compile", "os.system", "os.popen", "pickle.load", "torch.jit.load", "torch.hub.load", "runpy.run_path",
         "subprocess.getoutput", "subprocess.getstatusoutput", "pd.read_pickle", "pandas.read_pickle", "read_pickle",
         "asyncio.create_subprocess_shell", "yaml.load", "yaml.load_all", "yaml.unsafe_load", "yaml.full_load",
         "mlflow.pyfunc.load_model", "mlflow.sklearn.load_model", "mlflow.pytorch.load_model")  # fmt: skip
YAML_LOADERS = ("Loader", "FullLoader", "UnsafeLoader", "CLoader")


def faults(tree: ast.AST) -> Iterator[str]:
    """Yield what a file does that none may do, with its line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (f"{node.lineno}: import {name.name}" for name in node.names if name.name.split(".")[0] in MODULES)
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in MODULES:
            yield f"{node.lineno}: from {node.module} import"
        if isinstance(node, ast.Attribute) and node.attr in YAML_LOADERS and dotted(node.value) == "yaml":
            yield f"{node.lineno}: yaml.{node.attr}"
        if isinstance(node, ast.Call):
            yield from (f"{node.lineno}: {fault}" for fault in call_faults(node))


def dotted(node: ast.AST) -> str:
    """Return a name as it is written, such as os.system; what it is called on, where that is no name, is left out."""
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def call_faults(call: ast.Call) -> Iterator[str]:
    name = dotted(call.func)
    said = {word.arg: ast.unparse(word.value) for word in call.keywords if word.arg}
    if name in CALLS:
        yield name
    if said.get("shell", "False") != "False":
        yield f"{name}(shell={said['shell']})"
    if said.get("allow_pickle", "False") != "False":
        yield f"{name}(allow_pickle={said['allow_pickle']})"
    if said.get("trust_remote_code", "False") != "False":
        yield f"{name}(trust_remote_code={said['trust_remote_code']})"
    if name == "torch.load" and said.get("weights_only") != "True":
        yield "torch.load without weights_only=True"
    if name.endswith(".from_pretrained") and "trust_remote_code" not in said and "get_peft" not in name:
        yield f"{name} without trust_remote_code=False"


def test_no_file_does_it() -> None:
    assert len(FILES) > 200
    found = [f"{path.relative_to(ROOT)}:{fault}" for path in FILES for fault in faults(ast.parse(path.read_text()))]
    assert found == []


@pytest.mark.parametrize(
    "line",
    [
        "import pickle",
        "from joblib import load",
        "import cloudpickle as safe",
        "eval(text)",
        "exec(text)",
        "os.system(text)",
        "subprocess.run(text, shell=True)",
        "subprocess.Popen(text, shell=wanted)",
        "np.load(file, allow_pickle=True)",
        "torch.load(file)",
        "torch.load(file, weights_only=False)",
        "yaml.load(text)",
        "yaml.compose(text, yaml.Loader)",
        "pd.read_pickle(file)",
        "AutoModel.from_pretrained(folder)",
        "AutoModel.from_pretrained(folder, trust_remote_code=True)",
        "mlflow.pyfunc.load_model(uri)",
    ],
)
def test_the_search_finds_it(line: str) -> None:
    assert list(faults(ast.parse(line)))


@pytest.mark.parametrize(
    "line",
    [
        "network.eval()",
        "re.compile(text)",
        "np.load(file)",
        "subprocess.run([program, text])",
        "torch.load(f, weights_only=True)",
    ],
)
def test_the_search_lets_through_what_is_harmless(line: str) -> None:
    assert not list(faults(ast.parse(line)))
