import json

import pytest
import torch

import standout
from standout.errors import StandoutError
from standout.networks import NETWORKS, Network, build_network


@pytest.mark.parametrize("name", NETWORKS)
def test_every_name_builds_and_its_options_build_it_again(name):
    with torch.device("meta"):  # shapes only
        network = build_network(name)
        again = build_network(network.name, **json.loads(json.dumps(network.options)))

    assert isinstance(network, Network)
    assert network.name == name
    assert again.options == network.options
    assert {key: t.shape for key, t in again.state_dict().items()} == {
        key: t.shape for key, t in network.state_dict().items()
    }


def test_the_package_gives_build_network():
    assert standout.build_network("tiny").name == "tiny"


def test_given_options_are_kept_as_json_would_hold_them():
    network = build_network("tiny", mean=(0, 0, 0), std=(1, 2, 1), width=4, separable=False)

    assert network.options == {
        "width": 4,
        "separable": False,
        "fusion": "topdown",
        "padding": "plain",
        "eps": 1e-5,
        "mean": [0.0, 0.0, 0.0],
        "std": [1.0, 2.0, 1.0],
    }


def test_building_a_network_leaves_the_table_alone():
    network = build_network("pocket")
    network.options["mean"][0] = 9.0

    assert build_network("pocket").options["mean"][0] == 0.485


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("fusion_mobilenetv2", {}, "unknown network: fusion_mobilenetv2; did you mean fusion_mobilenetv2_100?"),
        ("resnet5000zzz", {}, "unknown network: resnet5000zzz"),
        ("tiny", {"widht": 3}, "unknown option of tiny: widht; did you mean width?"),
        ("tiny", {"name": "tiny"}, "unknown option of tiny: name"),
        ("tiny", {"width": 0}, "width must be a whole number from 1 to 4096: width=0"),
        ("tiny", {"width": True}, "width must be a whole number"),
        ("tiny", {"width": 10**12}, "width must be a whole number"),
        ("tiny", {"separable": "yes"}, "separable must be true or false"),
        ("tiny", {"fusion": "bottomup"}, "fusion must be topdown or concat"),
        ("tiny", {"padding": "valid"}, "padding must be plain or same"),
        ("tiny", {"padding": ["same"]}, "padding must be plain or same"),
        ("tiny", {"eps": 0}, "eps must be a number above 0"),
        ("tiny", {"eps": float("nan")}, "eps must be a number above 0"),
        ("tiny", {"mean": [0.5]}, "mean must be three numbers"),
        ("tiny", {"std": [1, 0, 1]}, "std must be three numbers above 0"),
        ("tiny", {"std": 1.0}, "std must be three numbers above 0"),
        ("fusion_resnet18", {"padding": "same"}, "plain padding only"),
    ],
)
def test_wrong_names_and_options_are_refused_in_one_line(name, options, words):
    with pytest.raises(StandoutError) as caught:
        build_network(name, **options)

    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2


def test_pocket_is_small():
    assert 100_000 <= sum(p.numel() for p in build_network("pocket").parameters()) <= 200_000


def test_tiny_is_tiny():
    assert sum(p.numel() for p in build_network("tiny").parameters()) < 5_000
