import hashlib
import pickle
import shutil
import subprocess
import sys

import numpy as np
import onnx
import pytest
import torch
from PIL import Image

import standout
from standout import Segmenter
from standout.errors import StandoutError
from standout.images import encode_image, resize, resize_map
from standout.models import find_model
from tiny_model import SHARPNESS, SIZE, model_folder, onnx_model, tiny_network, torch_model


def photo(rows=90, columns=130, seed=0):
    coarse = np.random.default_rng(seed).integers(0, 256, (7, 9, 3), dtype=np.uint8)
    return resize(coarse, (rows, columns), filter="bicubic")


def by_definition(pixels, sharpness, size=SIZE):
    image = torch.from_numpy(resize(pixels, (size, size)).astype(np.float32) / 255).permute(2, 0, 1)[None]
    with torch.inference_mode():
        logits = tiny_network()(image).logits.double()
    return resize_map(torch.sigmoid(sharpness * logits)[0, 0].numpy(), pixels.shape[:2])


@pytest.mark.parametrize("model", [onnx_model, torch_model])
@pytest.mark.parametrize("sharpness", [None, 1, 0.5, 4])
def test_the_map_is_the_sigmoid_of_the_sharpened_logits_at_the_pictures_size(model, sharpness):
    pixels = photo()

    found = Segmenter(model(), sharpness=sharpness).predict(pixels)

    assert found.dtype == np.float32
    assert found.shape == (90, 130)
    assert np.abs(found - by_definition(pixels, sharpness or SHARPNESS)).max() <= 1e-6 * (2 + 2 * (sharpness or 1))
    assert found.std() > 0.02  # a map that is flat everywhere would agree with anything


@pytest.mark.parametrize("model", [onnx_model, torch_model])
@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1), (5, 7), (200, 64)])
def test_maps_have_the_pictures_size_and_lie_in_0_to_1(model, size):
    found = Segmenter(model()).predict(photo(*size))

    assert found.shape == size
    assert found.min() >= 0
    assert found.max() <= 1


def test_a_path_bytes_an_image_and_an_array_give_one_map(tmp_path):
    pixels = photo()
    content = encode_image(pixels)
    (tmp_path / "a.png").write_bytes(content)
    segmenter = Segmenter(onnx_model())

    maps = list(
        segmenter.predict_many([pixels, content, tmp_path / "a.png", str(tmp_path / "a.png"), Image.fromarray(pixels)])
    )

    assert len(maps) == 5
    assert all(np.array_equal(m, maps[0]) for m in maps)


def test_p01_a_turned_picture_gives_an_upright_map(tmp_path):
    pixels = photo(60, 100)
    exif = Image.Exif()
    exif[274] = 6  # shown after a quarter turn clockwise
    Image.fromarray(np.rot90(pixels)).save(tmp_path / "turned.png", exif=exif)
    segmenter = Segmenter(onnx_model())

    found = segmenter.predict(tmp_path / "turned.png")

    assert np.array_equal(found, segmenter.predict(pixels))


def test_another_size_is_taken_by_the_network():
    pixels = photo()

    for model in (onnx_model(), torch_model()):
        segmenter = Segmenter(model, size=96)
        assert segmenter.size == 96
        assert np.abs(segmenter.predict(pixels) - by_definition(pixels, SHARPNESS, size=96)).max() <= 2e-6


def test_what_a_model_says_of_itself_is_shown():
    segmenter = Segmenter(onnx_model())

    assert segmenter.metadata["network"] == "tiny"
    assert segmenter.metadata["licence"] == "CC0-1.0"
    assert (segmenter.size, segmenter.sharpness) == (SIZE, SHARPNESS)
    assert segmenter.sha256 == hashlib.sha256(onnx_model().read_bytes()).hexdigest()


def test_a_segmenter_can_be_sent_to_another_process():
    pixels = photo()
    segmenter = Segmenter(onnx_model(), sharpness=1, threads=1)

    again = pickle.loads(pickle.dumps(segmenter))

    assert np.array_equal(again.predict(pixels), segmenter.predict(pixels))


@pytest.mark.parametrize("option", ["sharpness", "threads", "size"])
@pytest.mark.parametrize("value", [0, -1, 70000])
def test_options_out_of_range_are_refused(option, value):
    with pytest.raises(ValueError, match=f"{option} must be above 0.*{value}"):
        Segmenter(onnx_model(), **{option: value})


def test_a_run_gives_its_export_only_while_that_fits(tmp_path):
    run = tmp_path / "run"
    shutil.copytree(model_folder(), run)
    assert find_model(run) == run / "model.onnx"

    (run / "model.onnx").write_bytes(b"damaged")
    assert find_model(run) == run / "model.safetensors"

    shutil.copy(onnx_model(), run / "model.onnx")
    (run / "model.safetensors").write_bytes(b"trained again")
    assert find_model(run) == run / "model.safetensors"

    (run / "model.safetensors").unlink()
    assert find_model(run) == run / "model.onnx"


def test_a_run_without_a_model_and_a_folder_that_is_no_run_are_told_apart(tmp_path):
    with pytest.raises(StandoutError, match="folder is no run") as caught:
        find_model(tmp_path)
    assert caught.value.exit_code == 2

    (tmp_path / "recipe.toml").write_text("")
    with pytest.raises(StandoutError, match="run has no model yet"):
        Segmenter(tmp_path)


@pytest.mark.parametrize("name", ["no-such-model", "a\0b", "x/y.onnx", "é" * 300])
def test_a_model_that_is_not_there_is_one_line_with_the_remedy(name):
    with pytest.raises(StandoutError) as caught:
        Segmenter(name)

    assert caught.value.exit_code == 2
    assert "--model" in caught.value.how


def test_a_file_of_another_kind_is_refused_unread(tmp_path):
    (tmp_path / "model.pt").write_bytes(b"anything")

    with pytest.raises(StandoutError, match=r"model\.pt; give a run, an \.onnx or a \.safetensors file"):
        Segmenter(tmp_path / "model.pt")


def test_a_path_wins_over_a_shipped_name(tmp_path, monkeypatch):
    from standout.models import lookup

    shipped = tmp_path / "shipped"
    shipped.mkdir()
    for name in ("standout.onnx", "pocket.onnx"):
        shutil.copy(onnx_model(), shipped / name)
    monkeypatch.setattr(lookup, "_SHIPPED", shipped)
    monkeypatch.chdir(tmp_path)

    assert find_model() == shipped / "standout.onnx"
    assert find_model("pocket") == shipped / "pocket.onnx"
    with pytest.raises(StandoutError, match="did you mean pocket"):
        find_model("poket")
    shutil.copytree(model_folder(), tmp_path / "pocket")
    assert find_model("pocket").parent.name == "pocket"


def without_logits(path):
    model = onnx.load(onnx_model())
    del model.graph.output[1:]
    onnx.save(model, path)
    return path


def test_sharpness_of_an_onnx_model_without_logits_is_refused_not_guessed(tmp_path):
    model = without_logits(tmp_path / "m.onnx")

    assert Segmenter(model).predict(photo()).shape == (90, 130)
    assert Segmenter(model, sharpness=SHARPNESS).predict(photo()).shape == (90, 130)
    with pytest.raises(StandoutError, match="holds no logits"):
        Segmenter(model, sharpness=1)


def test_a_model_that_gives_no_number_is_refused(tmp_path):
    model = onnx.load(onnx_model())
    for tensor in model.graph.initializer:
        if tensor.name.endswith("score.bias"):
            tensor.CopyFrom(onnx.numpy_helper.from_array(np.full(1, np.nan, np.float32), tensor.name))
    onnx.save(model, tmp_path / "nan.onnx")

    with pytest.raises(StandoutError, match="no whole map"):
        Segmenter(tmp_path / "nan.onnx").predict(photo())


def python(code, *arguments):
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True, check=False
    )


def test_an_onnx_model_runs_without_torch():
    code = (
        "import sys; sys.modules['torch'] = None; import numpy as np\n"
        "from standout import Segmenter\n"
        "print(Segmenter(sys.argv[1]).predict(np.zeros((4, 5, 3), np.uint8)).shape)"
    )

    result = python(code, onnx_model())

    assert result.stdout == "(4, 5)\n", result.stderr


def test_a_torch_model_where_torch_is_missing_says_what_to_install():
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from standout import Segmenter, StandoutError\n"
        "try: Segmenter(sys.argv[1])\n"
        "except StandoutError as error: print(error.exit_code, error)"
    )

    result = python(code, torch_model())

    assert result.stdout.startswith("2 this kind of model needs torch"), result.stderr
    assert "standout[train]" in result.stdout


def test_shipped_models_are_listed_from_the_package():
    from standout.models import shipped

    assert all(path.suffix == ".onnx" and path.parent.name == "models" for path in shipped().values())
    assert standout.Segmenter is Segmenter
