"""What a run and its model say of themselves: no local path, the shares kept, the masks' findings, the licence."""

from standout.weights import read_model


def test_a_model_file_tells_no_path_of_the_machine_that_made_it(small, warnings_of, discs, tmp_path):
    names = tmp_path / "held.txt"
    names.write_text("disc000\ndisc001\n")
    recipe = small(validation={"split": str(names)}, training={"epochs": 1})
    outcome, _ = warnings_of(recipe, tmp_path / "run")
    content = outcome.finished.model.read_bytes()
    assert str(discs).encode() not in content
    assert str(discs.parent).encode() not in content
    assert str(tmp_path).encode() not in content
    told = read_model(outcome.finished.model)[1]["training"]["recipe"]
    assert told["data"]["train"] == discs.name
    assert told["validation"]["split"] == "held.txt"
    # the run itself, which stays on the machine, keeps where its data lie
    assert str(discs) in (tmp_path / "run" / "recipe.toml").read_text()
