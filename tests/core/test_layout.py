"""The layout: floors of families, the form of imports, and one word in five places."""

import ast
import re
from pathlib import Path

import pytest

from conftest import ROOT

PY = ROOT / "py"
# A family imports from lower floors only, and from itself.
FLOORS = [
    {"core"},
    {"checkpoint", "runtime", "train", "report"},
    {"decoding"},
    {"export", "ort", "trt", "speech"},
    {"swipe", "demo"},
    {"quantize", "package", "bench", "audit", "arm64"},
    {"pte"},
]
FLOOR = {family: number for number, families in enumerate(FLOORS) for family in families}
# The places that a family does without, and why.
WITHOUT = {
    "core": {"rules", "workers", "page"},  # what all families share makes nothing
    "runtime": {"rules", "workers", "tests", "page"},  # sessions, tested by every family that runs graphs
    "arm64": {"modules"},  # what talks to another process is runtime/remote
    "train": {"workers"},  # the workers are speech/train and swipe/train
    "demo": {"modules", "tests"},  # one server for decoders/typescript/demo, tested with the decoder
}
MODULES = sorted(path for path in PY.rglob("*.py") if "__pycache__" not in path.parts)


def family_of(path: Path) -> str:
    parts = path.relative_to(PY).parts
    return parts[1] if parts[0] == "transducer" else parts[0]


def imports_of(path: Path) -> list[ast.Import | ast.ImportFrom]:
    return [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Import | ast.ImportFrom)]


def test_every_module_is_in_a_family() -> None:
    assert len(MODULES) > 100
    loose = [path for path in MODULES if path.parent in (PY, PY / "transducer") and path.name != "__init__.py"]
    assert not loose
    assert {family_of(path) for path in MODULES if path.name != "__init__.py"} == set(FLOOR)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PY)))
def test_imports(path: Path) -> None:
    """Make reads imports as text, so they have one form; and they run down the floors."""
    if path.name == "__init__.py":
        assert not path.read_text()
        return
    workers = {family_of(module) for module in MODULES if module.parent.parent == PY}
    for node in imports_of(path):
        if isinstance(node, ast.Import):
            assert not any(name.name.partition(".")[0] == "transducer" for name in node.names)
            continue
        assert node.level == 0, "imports are absolute"
        module = (node.module or "").split(".")
        # A family of workers may bear the name of a library's module, but a worker is not imported.
        assert not (module[0] in workers and (PY / "/".join(module)).with_suffix(".py").exists())
        if module[0] == "transducer":
            assert len(module) == 3, "from transducer.FAMILY.MODULE import NAME"
            family = module[1]
            assert family == family_of(path) or FLOOR[family] < FLOOR[family_of(path)], f"{family} is not below"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PY)))
def test_sizes(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 200


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PY)))
def test_a_variable_is_a_noun(path: Path) -> None:
    """A bare participle says what was done to a thing, not which thing it is."""
    participles = "found kept heard chosen given drawn said wanted taken written made held spoken asked"
    nodes = list(ast.walk(ast.parse(path.read_text())))
    variables = {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    assert not set(participles.split()) & (variables | {node.arg for node in nodes if isinstance(node, ast.arg)})


def test_a_worker_is_not_called_as_a_library() -> None:
    libraries = {"onnx", "torch", "numpy", "onnxruntime", "executorch", "tensorrt", "onnx_asr", "sherpa_onnx", "nemo"}
    assert not {path.stem for path in MODULES} & libraries


@pytest.mark.parametrize("family", sorted(FLOOR))
def test_a_family_is_one_word_in_five_places(family: str) -> None:
    places = {
        "rules": ROOT / f"scripts/mk/{family}.mk",
        "workers": PY / family,
        "modules": PY / "transducer" / family,
        "tests": ROOT / "tests" / family,
        "page": ROOT / f"docs/{family}.md",
    }
    missing = {place for place, path in places.items() if not path.exists()}
    assert missing == WITHOUT.get(family, set())


def test_make_files() -> None:
    """A rule is a rule: nothing generates one, and a fragment can be read at a glance."""
    fragments = [ROOT / "Makefile", *(ROOT / "scripts/mk").glob("*.mk")]
    for path in fragments:
        text = path.read_text()
        assert "$(eval" not in text and not re.search(r"^define ", text, re.MULTILINE), path
        assert max(map(len, text.splitlines())) <= 120, path
        assert len(text.splitlines()) <= (250 if path.name == "Makefile" else 110), path
        # In a static pattern rule, a % within a second expansion is replaced before it.
        assert not re.search(r"\$\$\([^)]*%", text), path


def test_a_make_variable_is_of_one_fragment() -> None:
    """A second value, even of a rule's own, would reach the commands of both. (Speech and swipes never meet.)"""
    assignment = r"(?:override |private |export )*([A-Za-z_][\w.-]*) *[:?+]?= "
    owners: dict[str, set[str]] = {}
    for path in (*(ROOT / "scripts/mk").glob("*.mk"), ROOT / "Makefile"):
        for line in path.read_text().replace("\\\n", " ").splitlines():
            if line.startswith("\t") or line.lstrip().startswith("#"):
                continue
            found = re.match(rf"\s*{assignment}", f"{line} ") or re.match(rf"[^=#]*[^:]: *{assignment}", f"{line} ")
            # Variables of users are in capitals, and may have a default and a check in two places.
            if found and not found[1].isupper():
                owners.setdefault(found[1], set()).add(path.stem.partition("_sw")[0].partition("_sp")[0])
    assert len(owners) > 200
    assert {name: places for name, places in owners.items() if len(places) > 1} == {}
