import shutil

import numpy as np
import pytest
from data_sets import make_set, scene, write
from PIL import Image
from test_perceptual import photo

from standout.data.copies import find_look_alikes
from standout.data.overlap import find_overlap, refuse_overlap
from standout.data.pairs import find_pairs
from standout.errors import StandoutError


def two_sets(folder):
    train = find_pairs(make_set(folder / "train", ["a", "b", "c", "d"])).pairs
    make_set(folder / "test", ["x", "y"], rows=44)
    return train, folder / "test"


def copied(pair, folder, name, mask):
    shutil.copy(pair.image, folder / "images" / f"{name}.png")
    write(folder / "masks" / f"{name}.png", mask)


def test_d07_an_exact_copy_is_found_under_any_name_and_told(tmp_path):
    train, test_folder = two_sets(tmp_path)
    mask = scene()[1]
    copied(train[1], test_folder, "b", mask)
    copied(train[2], test_folder, "renamed", mask)
    test = find_pairs(test_folder).pairs

    found = find_overlap(train, test)

    assert [(same.name, pair.name) for same, pair in found] == [("b", "b"), ("c", "renamed")]
    with pytest.raises(StandoutError) as caught:
        refuse_overlap(train, test)
    assert caught.value.exit_code == 2
    assert "2 pictures to test on are also trained on: b, renamed (as c)" in str(caught.value)
    assert "--allow-overlap" in str(caught.value)
    assert refuse_overlap(train, test, allow=True) == ["2 pictures to test on are also trained on: b, renamed (as c)"]


def test_d07_other_pictures_of_the_same_length_and_name_are_no_overlap(tmp_path):
    train, test_folder = two_sets(tmp_path)
    data = bytearray(train[0].image.read_bytes())
    data[-5] ^= 1
    (test_folder / "images" / "a.png").write_bytes(data)
    write(test_folder / "masks" / "a.png", scene()[1])
    test = find_pairs(test_folder).pairs

    assert train[0].image.stat().st_size == test[0].image.stat().st_size
    assert find_overlap(train, test) == []
    assert refuse_overlap(train, test) == []


def test_d07_a_picture_that_is_gone_is_named(tmp_path):
    train, test_folder = two_sets(tmp_path)
    test = find_pairs(test_folder).pairs
    test[0].image.unlink()

    with pytest.raises(StandoutError, match=r"cannot be read .*x.png"):
        find_overlap(train, test)


@pytest.mark.parametrize("workers", [0, 2])
def test_d07_re_encoded_and_mirrored_copies_are_found_by_option(tmp_path, workers):
    for number in range(12):
        write(tmp_path / "train" / "images" / f"{number:02}.png", photo(number))
        write(tmp_path / "train" / "masks" / f"{number:02}.png", photo(number)[..., 0])
    for name, number in (("other", 50), ("same", 3), ("small", 5), ("turned", 7), ("broken", 60)):
        picture = np.asarray(Image.fromarray(photo(number)).resize((112, 84)))
        picture = picture[:, ::-1] if name == "turned" else picture
        write(tmp_path / "test" / "images" / f"{name}.jpg", picture, "JPEG", quality=50)
        write(tmp_path / "test" / "masks" / f"{name}.png", picture[..., 0])
    (tmp_path / "test" / "images" / "broken.jpg").write_bytes(b"")
    shutil.copy(tmp_path / "train" / "images" / "03.png", tmp_path / "test" / "images" / "same.png")
    (tmp_path / "test" / "images" / "same.jpg").unlink()
    train, test = (find_pairs(tmp_path / folder).pairs for folder in ("train", "test"))

    found = find_look_alikes(train, test, workers=workers)

    assert [(same.name, pair.name) for same, pair in found] == [("03", "same"), ("05", "small"), ("07", "turned")]
    assert refuse_overlap(train, test, allow=True) == ["1 pictures to test on are also trained on: same (as 03)"]
    with pytest.raises(
        StandoutError, match=r"3 pictures to test on.*same \(as 03\), small \(as 05\), turned \(as 07\)"
    ):
        refuse_overlap(train, test, how="perceptual", workers=workers)
