"""The loop over experiences: what it learns from, what it keeps, what it refuses, and what it writes."""

import json
import math
import shutil

import pytest
import torch
from stream_trees import COLOURS, MEMORY, domains, fill, settings_for

from standout.errors import StandoutError
from standout.files import Ledger
from standout.lifelong import METHODS, learn, read_recogniser, read_results
from standout.lifelong.learner import learn_more
from standout.lifelong.methods.ewc import OnlineConsolidation
from standout.lifelong.methods.sdkd import SaliencyDistillation
from standout.lifelong.pictures import Reader
from standout.lifelong.session import Session


def ignored(*_):
    """Take a warning or note and let it go."""


def run(stream, method, folder, **options):
    tables = options.pop("tables", {})
    return learn(stream, method, folder, settings=settings_for(method, **tables), warn=ignored, **options)


def weights(folder):
    return read_recogniser(folder)[0].state_dict()


def alike(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def logged(folder, kind="step"):
    return [line for line in Ledger(folder / "metrics.jsonl").read() if line["kind"] == kind]


@pytest.fixture(scope="module")
def naive(three, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "naive"
    run(three, "naive", folder)
    return folder


@pytest.fixture(scope="module")
def sdkd(three, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "sdkd"
    run(three, "sdkd", folder)
    return folder


@pytest.mark.parametrize("method", METHODS)
def test_every_method_meets_a_stream_that_grows_and_leaves_a_recogniser(method, growing, tmp_path):
    learnt = run(growing, method, tmp_path / "run", tables={"training": {"epochs": 1}})

    matrix, document = read_results(tmp_path / "run")
    assert (matrix.values == learnt.matrix.values).all()
    assert matrix.holes() == []
    assert matrix.names == ("home", "office", "street")
    assert matrix.untrained is not None
    network, metadata = read_recogniser(tmp_path / "run")
    assert network.classes == ("cup", "shoe", "spoon", "mug")
    assert metadata["training"]["method"]["name"] == method
    assert document["parameters"] == sum(p.numel() for p in network.parameters())
    assert document["model_bytes"] == (tmp_path / "run" / "model.safetensors").stat().st_size
    assert document["inference_ms"] > 0
    assert [row["pictures"] for row in document["after"]] == [9, 9, 12]
    assert [row["not_learnt_yet"] for row in document["after"]] == [[0, 0, 1], [0, 0, 1], [0, 0, 0]]
    for row in document["after"]:
        assert row["seconds"] > 0
        assert row["peak_bytes"] > 2**20
        assert (row["memory_pictures"] > 0) == METHODS[method].remembers
        assert 0 <= row["memory_bytes"] <= MEMORY
    lines = logged(tmp_path / "run")
    assert len(lines) == 2 + 2 + 3
    assert all(math.isfinite(value) for line in lines for value in line["terms"].values())


def test_d07_the_first_experience_is_learnt_as_without_a_method(naive, sdkd):
    first = {folder: [line for line in logged(folder) if line["experience"] == 1] for folder in (naive, sdkd)}

    assert all(set(line["terms"]) == {"task"} for line in first[sdkd])
    assert [line["terms"] for line in first[sdkd]] == [line["terms"] for line in first[naive]]  # bit for bit
    later = [set(line["terms"]) for line in logged(sdkd) if line["experience"] > 1]
    assert later
    assert all(names == {"task", "factor_transfer", "soft_targets"} for names in later)
    assert next(set(line["norms"]) for line in logged(sdkd) if "norms" in line) == later[0]


def test_d07_without_its_two_terms_sdkd_is_naive_fine_tuning(three, naive, tmp_path):
    learn(three, {"name": "sdkd", "lambda1": 0.0, "lambda2": 0.0}, tmp_path / "run", settings=settings_for("sdkd"))

    assert alike(weights(tmp_path / "run"), weights(naive))
    assert (read_results(tmp_path / "run")[0].values == read_results(naive)[0].values).all()


def test_d07_no_teacher_is_made_for_the_first_experience(three, tmp_path, monkeypatch):
    seen = []
    begin = SaliencyDistillation.begin

    def spied(self, network, meeting):
        begin(self, network, meeting)
        seen.append((meeting.number, self.teacher is not None, self.translator is not None))

    monkeypatch.setattr(SaliencyDistillation, "begin", spied)
    run(three, "sdkd", tmp_path / "run")

    assert seen == [(0, False, False), (1, True, True), (2, True, True)]


def test_d08_teacher_and_paraphraser_stay_as_they_are_while_the_translator_learns(three, tmp_path, monkeypatch):
    begun, ended = [], []
    begin, end = SaliencyDistillation.begin, SaliencyDistillation.end

    def copies(self):
        return [
            {name: value.clone() for name, value in part.state_dict().items()}
            for part in (self.teacher.network, self.paraphraser, self.translator)
        ]

    def spied_begin(self, network, meeting):
        begin(self, network, meeting)
        if meeting.number:
            begun.append((copies(self), {name: v.clone() for name, v in network.state_dict().items()}))

    def spied_end(self, network, meeting):
        if meeting.number:
            ended.append(copies(self))
            assert all(p.grad is None for part in (self.teacher.network, self.paraphraser) for p in part.parameters())
            assert not self.teacher.network.training
        end(self, network, meeting)

    monkeypatch.setattr(SaliencyDistillation, "begin", spied_begin)
    monkeypatch.setattr(SaliencyDistillation, "end", spied_end)
    run(three, "sdkd", tmp_path / "run")

    assert len(begun) == len(ended) == 2
    for (before, student), after in zip(begun, ended, strict=True):
        assert alike(before[0], student)  # the teacher is the model of the experience before, batch norms and all
        assert alike(before[0], after[0])
        assert alike(before[1], after[1])
        assert not alike(before[2], after[2])


def test_d10_what_is_deployed_has_no_teacher_and_no_translator(three, naive, tmp_path):
    learnt = run(three, "sdkd", tmp_path / "run")
    network, _ = read_recogniser(tmp_path / "run")

    assert network.state_dict().keys() == weights(naive).keys()
    image = torch.rand(2, 3, 32, 32)
    network = network.to(memory_format=torch.channels_last)  # as it learnt, so that sums run alike
    with torch.no_grad():
        assert torch.equal(network(image).scores, learnt.network.eval()(image).scores)


@pytest.mark.parametrize("method", ["naive", "sdkd", "lwf", "ewc", "si"])
def test_d11_no_picture_of_an_old_experience_is_touched(method, three, tmp_path, monkeypatch):
    begun, read = [0], []
    groups, end = Reader.groups, Session._end

    def spied(self, wanted, rows, **options):
        for batch in groups(self, wanted, rows, **options):
            if self.augmentation is not None:
                read.append((begun[0], set((batch.number >> 32).tolist()), batch.replayed))
            yield batch

    def spied_end(self, experience):
        assert self.learning._decoded  # the cache worked,
        end(self, experience)
        assert not self.learning._decoded  # and is empty when the experience is past
        begun[0] += 1

    monkeypatch.setattr(Reader, "groups", spied)
    monkeypatch.setattr(Session, "_end", spied_end)
    run(three, method, tmp_path / "run")

    assert {number for number, _, _ in read} == {0, 1, 2}
    assert all(met == {number} and replayed == 0 for number, met, replayed in read)


def test_the_upper_bound_learns_from_all_experiences_so_far_in_as_many_steps(three, naive, tmp_path, monkeypatch):
    read = []
    groups = Reader.groups

    def spied(self, wanted, rows, **options):
        for batch in groups(self, wanted, rows, **options):
            if self.augmentation is not None:
                read.append(set((batch.number >> 32).tolist()))
            yield batch

    monkeypatch.setattr(Reader, "groups", spied)
    run(three, "cumulative", tmp_path / "run")

    assert len(logged(tmp_path / "run")) == len(logged(naive))
    assert set().union(*read[:6]) == {0}
    assert set().union(*read[-6:]) == {0, 1, 2}


@pytest.mark.parametrize("method", ["naive", "sdkd"])
def test_d14_l06_two_runs_of_one_seed_are_bit_equal_with_any_number_of_readers(method, three, tmp_path, request):
    run(three, method, tmp_path / "again", tables={"training": {"workers": 0, "cache_mebibytes": 0}})

    first = request.getfixturevalue(method)
    assert alike(weights(first), weights(tmp_path / "again"))
    assert (read_results(first)[0].values == read_results(tmp_path / "again")[0].values).all()


def test_l06_the_order_of_experiences_is_recorded_and_changes_the_run(three, naive, tmp_path):
    run(three, "naive", tmp_path / "run", tables={"stream": {"order": ["street", "home", "office"]}})

    matrix, document = read_results(tmp_path / "run")
    assert matrix.names == ("street", "home", "office")
    assert document["recipe"]["stream"]["order"] == ["street", "home", "office"]
    assert not alike(weights(tmp_path / "run"), weights(naive))


def test_l01_an_empty_experience_is_refused_before_anything_starts(tmp_path):
    root = domains(tmp_path / "s", names=("home", "office"), count=4)
    (root / "street" / "cup").mkdir(parents=True)

    with pytest.raises(StandoutError, match=r"experience is empty: street of") as caught:
        run(root, "naive", tmp_path / "run")

    assert caught.value.exit_code == 2
    assert not (tmp_path / "run").exists()


class Told(list):
    """The lines that a run shows."""

    def line(self, text):
        self.append(text)

    def step(self, *_):
        pass


def test_l02_a_class_that_was_never_met_is_reported_and_never_found(growing, tmp_path):
    told = Told()
    learnt = run(growing, "naive", tmp_path / "run", tables={"training": {"epochs": 1}}, shown=told)

    assert "street has 1 of 4 pictures to be tested on of classes that were not met yet" in told
    assert learnt.matrix.values[0, 2] <= 0.75


def test_a_class_with_one_picture_is_learnt_and_said_not_to_be_tested(tmp_path):
    root = domains(tmp_path / "s", names=("home", "office"), count=4)
    fill(root / "home" / "mug", COLOURS["mug"], 1, seed=5)
    run(root, "naive", tmp_path / "run")

    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    assert manifest["notes"] == ["home/mug has one picture, which is learnt from and not tested on"]
    assert "mug" in read_recogniser(tmp_path / "run")[0].classes


def test_a_corrupt_picture_to_learn_from_is_replaced_and_named_among_many(tmp_path):
    root = domains(tmp_path / "s", names=("home",), classes=("cup", "shoe"), count=250, side=8)
    broken = sorted((root / "home" / "cup").glob("*.png"))[7]
    broken.write_bytes(broken.read_bytes()[:40])
    run(
        root, "naive", tmp_path / "run", tables={"training": {"epochs": 1, "batch": 100}, "stream": {"test_share": 0.0}}
    )

    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    assert list(manifest["unreadable"]) == [str(broken)]
    assert manifest["status"] == "finished"


def test_too_many_corrupt_pictures_stop_the_run_and_are_named(tmp_path):
    root = domains(tmp_path / "s", names=("home",), classes=("cup", "shoe"), count=8)
    broken = next((root / "home" / "cup").glob("*.png"))
    broken.write_bytes(b"no picture")

    with pytest.raises(StandoutError, match=broken.name):
        run(root, "naive", tmp_path / "run")


@pytest.mark.parametrize(
    ("method", "tables", "words"),
    [
        ("sdkdd", {}, "did you mean sdkd"),
        ({"name": "sdkd", "lamda1": 1}, {}, "did you mean lambda1"),
        ({"name": "sdkd", "ft_planes": 0}, {}, "ft_planes must be at least 1"),
        ({"name": "sdkd_without_factors", "lambda1": 1.0}, {}, "unknown option"),
        ("sdkd", {"network": {"name": "tiny", "options": {}}}, "needs a recogniser that says where the object is"),
        ("naive", {"memory": {"bytes": 100}}, "keeps nothing of the past"),
        ("naive", {"training": {"epoch": 3}}, "did you mean training.epochs"),
        ("naive", {"stream": {"kind": "core51"}}, "did you mean core50"),
        ("naive", {"stream": {"order": ["home", "moon"]}}, "moon"),
        ("naive", {"training": {"batch": 1}}, "training.batch"),
    ],
)
def test_what_cannot_be_run_is_refused_by_name(method, tables, words, three, tmp_path):
    settings = {**settings_for("naive"), **{k: {**settings_for("naive").get(k, {}), **v} for k, v in tables.items()}}
    with pytest.raises(StandoutError, match=words) as caught:
        learn(three, method, tmp_path / "run", settings=settings, warn=ignored)

    assert caught.value.exit_code == 2
    assert not (tmp_path / "run" / "recipe.toml").exists()


def test_l05_the_memory_is_bounded_and_its_size_is_said(three, tmp_path):
    told = Told()
    run(three, "replay", tmp_path / "run", tables={"training": {"epochs": 1}}, shown=told)

    said = f"memory: 8 pictures, {MEMORY} of {MEMORY} bytes"
    assert told.count(said) == 3
    assert [row["memory_bytes"] for row in read_results(tmp_path / "run")[1]["after"]] == [MEMORY] * 3


def test_a_memory_of_nothing_is_allowed_and_said(three, naive, tmp_path):
    told = []
    learn(three, "replay", tmp_path / "run", settings=settings_for("replay", memory={"bytes": 0}), warn=told.append)

    assert "0 bytes" in told[0]
    assert alike(weights(tmp_path / "run"), weights(naive))


def test_a_picture_that_is_tested_on_may_not_be_learnt_from(three, tmp_path):
    root = tmp_path / "s"
    shutil.copytree(three, root)
    from standout.lifelong import domain_stream

    first = domain_stream(root).experiences[0]
    shutil.copy(first.test[0].path, root / "office" / first.test[0].label / "copied.png")
    with pytest.raises(StandoutError, match="tested on and learnt from"):
        run(root, "naive", tmp_path / "run")

    run(root, "naive", tmp_path / "run", tables={"stream": {"allow_overlap": True}, "training": {"epochs": 1}})


def test_learning_goes_on_with_new_folders_and_new_classes(three, sdkd, tmp_path):
    kept = tmp_path / "run"
    shutil.copytree(sdkd, kept)
    new = tmp_path / "march"
    fill(new / "cup", COLOURS["cup"], 5, seed=50, background=(250, 10, 250))
    fill(new / "mug", COLOURS["mug"], 5, seed=51, background=(250, 10, 250))

    learnt = learn_more(kept, [new], settings=[("training.epochs", 1)], warn=ignored)

    assert learnt.network.classes == ("cup", "shoe", "spoon", "mug")
    assert learnt.matrix.names == ("home", "office", "street", "march")
    # What was measured before the folder was known says nothing of it: holes with names, never zeros.
    assert learnt.matrix.holes() == ["march after home", "march after office", "march after street"]
    assert (learnt.matrix.values[:3, :3] == read_results(sdkd)[0].values).all()
    changes = json.loads((kept / "manifest.json").read_text())["changes"]
    assert [change["field"] for change in changes] == ["training.epochs"]
    with pytest.raises(StandoutError, match=r"keep it, or pass --override optimiser\.rate"):
        learn(
            None, None, kept, settings={**settings_for("sdkd"), "optimiser": {"name": "sgd", "rate": 0.5}}, resume=True
        )


def test_learning_goes_on_where_the_old_pictures_are_gone(tmp_path):
    root = domains(tmp_path / "s", names=("home", "office"), count=4)
    run(root, "lwf", tmp_path / "run", tables={"training": {"epochs": 1}})
    before = read_results(tmp_path / "run")[0]
    root.rename(tmp_path / "moved")
    fill(tmp_path / "new" / "cup", COLOURS["cup"], 4, seed=60)
    fill(tmp_path / "new" / "shoe", COLOURS["shoe"], 4, seed=61)

    learnt = learn_more(tmp_path / "run", [tmp_path / "new", tmp_path / "new"], warn=ignored)

    assert learnt.matrix.names == ("home", "office", "new", "new (2)")
    assert (learnt.matrix.values[:2, :2] == before.values).all()
    assert "home after new" in learnt.matrix.holes()
    assert learnt.matrix.summary()["accuracy_gem"] is None  # not averaged over what is left


def test_a_folder_that_holds_no_learner_cannot_go_on(tmp_path):
    with pytest.raises(StandoutError, match="folder holds no learner"):
        learn_more(tmp_path, [tmp_path])


def test_d15_distillation_forgets_less_than_fine_tuning_where_domains_conflict(tmp_path):
    """Two domains whose colours mean different classes: learning the second unlearns the first."""
    meaning = {
        "one": {"cup": "cup", "shoe": "shoe", "spoon": "spoon"},
        "two": {"cup": "shoe", "shoe": "spoon", "spoon": "cup"},
    }
    grounds = {"one": (90, 90, 90), "two": (215, 215, 190)}
    for number, (name, colours) in enumerate(meaning.items()):
        for kind, (label, colour) in enumerate(colours.items()):
            fill(tmp_path / "s" / name / label, COLOURS[colour], 15, seed=10 * number + kind, side=24,
                 background=grounds[name])  # fmt: skip
    training = {"epochs": 4, "first_epochs": 20, "batch": 12, "size": 64, "ratio_steps": 0}
    settings = {**settings_for("sdkd", training=training), "optimiser": {"name": "adamw", "rate": 0.005}}
    forgotten = {}
    for method in ({"name": "naive"}, {"name": "sdkd", "lambda1": 1.0, "lambda2": 10.0}):
        learnt = learn(tmp_path / "s", method, tmp_path / method["name"], settings={**settings, "seed": 0})
        assert learnt.matrix.values[0, 0] > 0.8
        forgotten[method["name"]] = learnt.matrix.summary()["forgetting"]

    assert forgotten["naive"] > 0.5
    assert forgotten["sdkd"] < forgotten["naive"] - 0.2, forgotten


def test_a_method_that_looks_at_the_first_few_pictures_meets_every_class(tmp_path, monkeypatch):
    stream = domains(tmp_path / "stream", names=("home",), count=15)
    met, end = [], OnlineConsolidation.end

    def looked(self, network, meeting):
        met.append([batch.label.tolist() for batch in meeting.pictures()])
        met.append([batch.label.tolist() for batch in meeting.pictures()])
        end(self, network, meeting)

    monkeypatch.setattr(OnlineConsolidation, "end", looked)
    run(stream, "ewc", tmp_path / "run", tables={"training": {"epochs": 1}})
    assert met[0] == met[1]
    assert {label for batch in met[0][:3] for label in batch} == {0, 1, 2}
    assert [sum(batch.count(label) for batch in met[0]) for label in range(3)] == [12, 12, 12]
