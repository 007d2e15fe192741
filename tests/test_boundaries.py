"""One boundary per danger: what only one module may do, no other does."""

import ast
import functools
from pathlib import Path

import pytest

import standout

SOURCE = Path(standout.__file__).parent
MODULES = sorted(SOURCE.rglob("*.py"))


@functools.cache
def tree(path):
    return ast.parse(path.read_text(encoding="utf-8"))


def place(path):
    return path.relative_to(SOURCE).as_posix()


def imports(path):
    """The dotted names of all modules that a file imports, inside functions too."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def calls(path):
    """Each call with the dotted text of what is called."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


def importers(name):
    """The files that import a module or something from it."""
    return {place(p) for p in MODULES if any(i == name or i.startswith(name + ".") for i in imports(p))}


def test_the_sources_are_found():
    assert {"images/decode.py", "files.py", "weights.py"} <= {place(path) for path in MODULES}


def test_only_images_decodes_pictures():
    assert importers("PIL")
    assert {name for name in importers("PIL") if not name.startswith("images/")} == set()
    for other in ("cv2", "imageio", "skimage", "torchvision", "matplotlib.image", "tifffile"):
        assert importers(other) == set()


def test_only_decode_calls_the_librarys_decoders():
    """Nothing goes through `Image.open`, which would try every format that the library knows."""
    for path in MODULES:
        assert "Image.open" not in {name for name, _ in calls(path)}, place(path)


@pytest.mark.parametrize("name", ["LOAD_TRUNCATED_IMAGES", "MAX_IMAGE_PIXELS"])
def test_p07_p08_the_librarys_process_wide_switches_are_never_touched(name):
    for path in MODULES:
        assert name not in path.read_text(encoding="utf-8"), place(path)


@pytest.mark.parametrize(
    "name", ["pickle", "cPickle", "dill", "cloudpickle", "marshal", "shelve", "yaml", "joblib.load"]
)
def test_c01_nothing_that_runs_code_from_a_file_is_imported(name):
    assert importers(name) == set()


FORBIDDEN = {
    "eval", "exec", "compile", "__import__", "torch.load", "torch.save", "torch.hub.load", "os.system", "os.popen",
    "yaml.load", "joblib.load", "joblib.dump", "torch.jit.load", "subprocess.getoutput",
}  # fmt: skip


def test_c01_no_call_runs_code_from_a_string_or_file():
    for path in MODULES:
        for name, call in calls(path):
            assert name not in FORBIDDEN, f"{place(path)}:{call.lineno} calls {name}"
            for keyword in call.keywords:
                assert keyword.arg != "allow_pickle", f"{place(path)}:{call.lineno}"
                assert keyword.arg != "shell", f"{place(path)}:{call.lineno}"


def test_c01_only_weights_parses_model_files():
    readers = {
        place(path)
        for path in MODULES
        for name, _ in calls(path)
        if name.split(".")[-1] in ("safe_open", "load_file", "load_model", "deserialize")
        or name == "safetensors.torch.load"
    }

    assert readers <= {"weights.py"}


WRITING = frozenset("wax+")
# Checkpoints are folders: put together under a temporary name before their one rename, moved aside when damaged.
# What is written in `peak.py` is a word to the system, no result.
MAY_OPEN = {"files.py", "checkpoint.py", "peak.py"}
MAY_RENAME = {"files.py", "checkpoint.py"}


def opens_for_writing(name, call):
    """Whether a call gives a file that can be written, by its literal mode or flags."""
    last = name.split(".")[-1]
    if last in ("write_bytes", "write_text", "tofile", "savez", "savez_compressed", "save_file"):
        return True
    if name == "os.open":
        flags = " ".join(ast.unparse(argument) for argument in call.args[1:])
        is_null = ast.unparse(call.args[0]) == "os.devnull"
        return not is_null and any(flag in flags for flag in ("O_WRONLY", "O_RDWR", "O_CREAT", "O_APPEND"))
    if last not in ("open", "fdopen"):
        return False
    place_of_mode = 1 if name in ("open", "os.fdopen", "io.open") else 0
    modes = [k.value for k in call.keywords if k.arg == "mode"] + call.args[place_of_mode : place_of_mode + 1]
    return any(isinstance(m, ast.Constant) and isinstance(m.value, str) and WRITING & set(m.value) for m in modes)


def renames(name, call):
    """Whether a call gives a path another name; `str.replace` has two arguments, `Path.replace` one."""
    if name in (
        "os.rename",
        "os.replace",
        "os.renames",
        "shutil.move",
        "shutil.copy",
        "shutil.copyfile",
        "shutil.copytree",
    ):
        return True
    last = name.split(".")[-1]
    return "." in name and (last == "rename" or (last == "replace" and len(call.args) == 1 and not call.keywords))


@pytest.mark.parametrize(("does", "may"), [(opens_for_writing, MAY_OPEN), (renames, MAY_RENAME)])
def test_b01_only_files_gives_a_result_its_name(does, may):
    found = {f"{place(p)}:{c.lineno} {name}" for p in MODULES for name, c in calls(p) if does(name, c)}

    assert any(entry.startswith("files.py") for entry in found), "the check sees nothing"
    assert {entry for entry in found if entry.split(":")[0] not in may} == set()


@pytest.mark.parametrize(
    ("source", "is_seen"),
    [
        ("open(p, 'wb')", True),
        ("open(p)", False),
        ("open(p, mode='a')", True),
        ("p.open('x')", True),
        ("p.open('rb')", False),
        ("os.fdopen(h, 'r+b')", True),
        ("os.open(p, os.O_WRONLY | os.O_CREAT)", True),
        ("os.open(p, os.O_RDONLY)", False),
        ("p.write_text('')", True),
        ("np.savez(p)", True),
    ],
)
def test_the_check_for_writing_sees_what_it_must(source, is_seen):
    call = ast.parse(source).body[0].value

    assert opens_for_writing(ast.unparse(call.func), call) is is_seen


@pytest.mark.parametrize(
    ("source", "is_seen"),
    [("p.rename(q)", True), ("p.replace(q)", True), ("s.replace('a', 'b')", False), ("t.replace(year=1)", False)],
)
def test_the_check_for_renames_sees_what_it_must(source, is_seen):
    call = ast.parse(source).body[0].value

    assert renames(ast.unparse(call.func), call) is is_seen
