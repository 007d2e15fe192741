"""Promise E7: a ledger of scores goes on after any stop, and leads to the table of one run."""

import numpy as np
import pytest
from eval_sets import make_set, shapes, write

from standout.errors import StandoutError
from standout.evaluate import Rules, render, score_maps


@pytest.fixture
def folders(tmp_path):
    return make_set(tmp_path, 12)


def test_e07_a_ledger_cut_anywhere_leads_to_the_same_table(folders, tmp_path):
    maps, masks = folders
    ledger = tmp_path / "ledger.jsonl"
    whole = score_maps(maps, masks, ledger=ledger)
    content = ledger.read_bytes()
    assert content.count(b"\n") == 12
    for cut in range(0, len(content), len(content) // 9):
        ledger.write_bytes(content[:cut])
        again = score_maps(maps, masks, ledger=ledger)
        assert render([again], "json") == render([whole], "json")
        assert ledger.read_bytes().count(b"\n") == 12


def test_e07_what_changed_is_scored_again(folders, tmp_path):
    maps, masks = folders
    ledger = tmp_path / "ledger.jsonl"
    score_maps(maps, masks, ledger=ledger)
    found, _ = shapes(np.random.default_rng(77), 24, 32)
    write(maps / "p0003.png", 255 - found)
    again = score_maps(maps, masks, ledger=ledger)
    assert again.measures == score_maps(maps, masks).measures
    assert ledger.read_bytes().count(b"\n") == 13
    raw = score_maps(maps, masks, ledger=ledger, rules=Rules("raw"))
    assert raw.measures == score_maps(maps, masks, rules=Rules("raw")).measures
    assert ledger.read_bytes().count(b"\n") == 25


def test_e07_a_ledger_of_something_else_is_refused(folders, tmp_path):
    maps, masks = folders
    ledger = tmp_path / "ledger.jsonl"
    ledger.write_text('{"schema": 1, "item": "a.jpg"}\n')
    with pytest.raises(StandoutError) as caught:
        score_maps(maps, masks, ledger=ledger)
    error = caught.value
    assert (error.code, error.exit_code) == ("ledger-foreign", 2)
