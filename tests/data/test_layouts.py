import subprocess
import sys

import pytest
from data_sets import touch

from standout.data.layouts import LAYOUTS, recognise
from standout.data.pairs import find_pairs
from standout.errors import StandoutError

# How each set lies on disk as published or as it is handed on: files, part, layout, names found.
PUBLISHED = {
    "DUTS-TR": (["DUTS-TR-Image/a.jpg", "DUTS-TR-Mask/a.png"], None, "DUTS", ["a"]),
    "DUTS": (
        [
            "DUTS-TR/DUTS-TR-Image/a.jpg",
            "DUTS-TR/DUTS-TR-Mask/a.png",
            "DUTS-TE/DUTS-TE-Image/b.jpg",
            "DUTS-TE/DUTS-TE-Mask/b.png",
        ],
        "test",
        "DUTS",
        ["b"],
    ),
    "ECSSD": (["images/0001.jpg", "ground_truth_mask/0001.png"], None, "ECSSD", ["0001"]),
    "ECSSD ": (["images/0001.jpg", "masks/0001.png"], None, "ECSSD", ["0001"]),
    "HKU-IS": (["imgs/0004.png", "gt/0004.png"], None, "HKU-IS", ["0004"]),
    "PASCAL-S": (["datasets/imgs/pascal/1.jpg", "datasets/masks/pascal/1.png"], None, "PASCAL-S", ["1"]),
    "DUT-OMRON": (
        ["DUT-OMRON-image/DUT-OMRON-image/im005.jpg", "DUT-OMRON-gt-pixelwise.zip.new/pixelwiseGT-new-PNG/im005.png"],
        None,
        "DUT-OMRON",
        ["im005"],
    ),
    "COD10K-v3": (
        [
            *("Train/Image/COD10K-CAM-1-Aquatic-1.jpg", "Train/Image/COD10K-NonCAM-2-Land-1.jpg"),
            *("Train/GT_Object/COD10K-CAM-1-Aquatic-1.png", "Train/GT_Instance/COD10K-CAM-1-Aquatic-1.png"),
            *("Test/Image/COD10K-CAM-3-Flying-1.jpg", "Test/GT_Object/COD10K-CAM-3-Flying-1.png"),
        ],
        "train",
        "COD10K",
        ["COD10K-CAM-1-Aquatic-1"],
    ),
    "CAMO-V.1.0-CVIU2019": (
        ["Images/Train/c_1.jpg", "Images/Test/c_2.jpg", "GT/c_1.png", "GT/c_2.png"],
        "test",
        "CAMO",
        ["c_2"],
    ),
    "CAMO": (
        ["train/images/c_1.webp", "train/masks/c_1.png", "test/images/c_2.webp", "test/masks/c_2.png"],
        "train",
        "CAMO",
        ["c_1"],
    ),
    "CHAMELEON": (["Image/animal-1.jpg", "GT/animal-1.png"], None, "CHAMELEON", ["animal-1"]),
    "NC4K": (["Imgs/1.jpg", "GT/1.png"], None, "NC4K", ["1"]),
    "DIS5K": (
        ["DIS-TR/im/1#A.jpg", "DIS-TR/gt/1#A.png", "DIS-VD/im/2#A.jpg", "DIS-VD/gt/2#A.png"]
        + [
            f"DIS-TE{k}/{folder}/t{k}.{suffix}"
            for k in (1, 2, 3, 4)
            for folder, suffix in (("im", "jpg"), ("gt", "png"))
        ],
        "test",
        "DIS5K",
        ["t1", "t2", "t3", "t4"],
    ),
    "THUR15000": (
        ["Butterfly/Src/1.jpg", "Butterfly/Src/1.png", "Butterfly/Src/2.jpg", "Plane/Src/1.jpg", "Plane/Src/1.png"],
        None,
        "THUR15K",
        ["Butterfly/1", "Plane/1"],
    ),
    "one": (["Image/a.jpg", "Mask/a.png"], None, "Image/Mask", ["a"]),
    "two": (["Imgs/a.jpg", "GT/a.png"], None, "Imgs/GT", ["a"]),
    "three": (["im/a.tif", "gt/a.bmp"], None, "im/gt", ["a"]),
    "four": (["IMAGES/a.WEBP", "Masks/a.gif"], None, "images/masks", ["a"]),
    "five": (["TrainDataset/Imgs/a.jpg", "TrainDataset/GT/a.png"], None, "Imgs/GT", ["a"]),
    "six": (
        ["images/train/a.jpg", "images/val/b.jpg", "masks/train/a.png", "masks/val/b.png"],
        "train",
        "images/masks",
        ["a"],
    ),
    "wrapped": (
        ["inner/images/a.jpg", "inner/masks/a.png", "__MACOSX/inner/images/._a.jpg"],
        None,
        "images/masks",
        ["a"],
    ),
}


@pytest.mark.parametrize("folder", PUBLISHED)
def test_a_published_set_is_recognised_by_its_folders(tmp_path, folder):
    files, part, layout, names = PUBLISHED[folder]
    root = touch(tmp_path / folder.strip(), *files)

    found = find_pairs(root, part=part)

    assert found.layout == layout
    assert [pair.name for pair in found.pairs] == names
    assert all(pair.image.is_file() and pair.mask.is_file() for pair in found.pairs)


def test_every_layout_of_the_table_was_tried():
    assert {layout for _, _, layout, _ in PUBLISHED.values()} >= set(LAYOUTS) - {"Image/GT", "images/GT"}


def test_left_out_pictures_of_a_published_set_are_told(tmp_path):
    camouflaged = touch(tmp_path / "COD10K-v3", *PUBLISHED["COD10K-v3"][0])
    partly = touch(tmp_path / "THUR15000", *PUBLISHED["THUR15000"][0])

    assert find_pairs(camouflaged, part="train").notes == (
        "1 files whose names do not start with COD10K-CAM- left out: Image",
    )
    assert find_pairs(partly).notes == ("1 pictures without mask left out, as published: Butterfly",)


def test_an_unknown_folder_says_what_was_seen_and_what_is_expected(tmp_path):
    root = touch(tmp_path, "photos/a.jpg", "labels/a.png")

    with pytest.raises(StandoutError) as caught:
        find_pairs(root)

    assert caught.value.exit_code == 2
    assert all(word in str(caught.value) for word in (str(root), "labels/, photos/", "images/ and masks/", "DUTS"))


def test_a_folder_without_masks_is_no_set(tmp_path):
    root = touch(tmp_path, "images/a.jpg")

    with pytest.raises(StandoutError, match="no pictures with masks found") as caught:
        find_pairs(root)

    assert caught.value.exit_code == 2


def test_two_layouts_with_different_folders_are_refused_and_one_can_be_chosen(tmp_path):
    root = touch(tmp_path / "both", "images/a.jpg", "masks/a.png", "GT/a.png")

    with pytest.raises(StandoutError, match="several layouts fit") as caught:
        find_pairs(root)

    assert caught.value.exit_code == 2
    assert "images/ with masks/" in str(caught.value)
    assert "images/ with GT/" in str(caught.value)
    assert find_pairs(root, layout="images/GT").pairs[0].mask == root / "GT" / "a.png"


def test_an_unknown_layout_is_answered_with_the_nearest(tmp_path):
    with pytest.raises(StandoutError, match="did you mean DUTS") as caught:
        find_pairs(tmp_path, layout="DUTZ")

    assert caught.value.exit_code == 2


def test_a_layout_that_does_not_fit_says_what_it_needs(tmp_path):
    root = touch(tmp_path, "images/a.jpg", "masks/a.png")

    with pytest.raises(StandoutError, match="expected for HKU-IS: imgs/ with gt/"):
        find_pairs(root / "images", layout="HKU-IS")


def test_a_set_of_several_parts_asks_which_and_a_set_of_one_is_taken_whole(tmp_path):
    several = touch(tmp_path / "CAMO", *PUBLISHED["CAMO"][0])
    single = touch(tmp_path / "DUTS-TR", *PUBLISHED["DUTS-TR"][0])

    with pytest.raises(StandoutError, match=r"several parts \(test, train\)") as caught:
        find_pairs(several)
    assert caught.value.exit_code == 2
    with pytest.raises(StandoutError, match="no validation part"):
        find_pairs(several, part="validation")
    with pytest.raises(StandoutError, match="unknown part"):
        find_pairs(several, part="training")
    assert find_pairs(single, part="test").notes == ("the set has no test part: its train part is taken whole",)


def test_links_that_loop_are_not_followed_for_ever(tmp_path):
    (tmp_path / "loop").symlink_to(tmp_path)

    assert recognise(tmp_path) is None


def test_pairs_are_found_without_torch_or_the_image_library():
    code = (
        "import sys; from standout.data import find_pairs, find_overlap, split_validation, LAYOUTS;"
        "assert not {'torch', 'numpy', 'PIL'} & set(sys.modules), sorted(sys.modules)"
    )

    subprocess.run([sys.executable, "-c", code], check=True)
