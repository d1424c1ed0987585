"""What a profile's file may say: mistakes are named with their line, any field can be varied."""

import dataclasses
import re

import pytest
import yaml

from effnet.errors import EffnetError
from effnet.grid.profiles import Profile
from effnet.paths import ROOT, relative
from effnet.trial import Trial

GOOD = """\
# Two lines
# of comment.
note: Of a test.
seeds: [0, 1]
trial:
  recipe: thesis
  image_size: 32
groups:
  scratch_rgb:
    trial: {epochs: 2}
    grid:
      dropout_rate: [0.0, 0.3]
    runs:
      wide: {width_coefficient: 2.0}
      plain:
"""


@pytest.fixture
def load(tmp_path):
    """Loads a profile from text, or from `GOOD` with something in it replaced."""

    def load(*change, name="mine"):
        path = tmp_path / f"{name}.yaml"
        text = GOOD
        if len(change) == 2:
            assert text.count(change[0]) == 1
            text = text.replace(*change)
        elif change:
            (text,) = change
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return Profile.load(str(path))

    return load


def test_a_file_elsewhere_is_a_profile(load, tmp_path):
    profile = load()
    assert (profile.name, profile.source) == ("mine", str(tmp_path / "mine.yaml"))
    assert relative(profile.reports) == "reports/mine" and profile.note == "Of a test."
    names = ["scratch_rgb p=0", "scratch_rgb p=0.3", "wide", "plain"]
    seeds = [f"{name} seed 1000" for name in names]
    assert [job.name for job in profile.jobs] == names + seeds
    assert {job.trial.epochs for job in profile.jobs} == {2} and profile.demo
    assert [job.trial.width_coefficient for job in profile.jobs][:4] == [None, None, 2.0, None]
    packaged = Profile.load("smoke")
    assert packaged.source == "smoke"


def test_a_relative_path_starts_at_the_checkout(tmp_path, monkeypatch):
    monkeypatch.setattr("effnet.trial.ROOT", tmp_path)
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "mine.yaml").write_text(GOOD)
    assert Profile.load("sub/mine.yaml").reports == ROOT / "reports" / "mine"
    with pytest.raises(EffnetError, match=rf"'other.yaml': no file is at {tmp_path}/other.yaml"):
        Profile.load("other.yaml")


@pytest.mark.parametrize("name", ["demo", "Demo", "runs", "my cars", "a.b", "-a", "ü", "a" * 65])
def test_a_file_whose_results_would_have_no_folder_of_their_own_is_refused(load, name):
    with pytest.raises(EffnetError, match=f"go to reports/{name}.* Give the file a.* name"):
        load(name=name)


@pytest.mark.parametrize("name", ["", ".", "nobody", "demo/", "mine.yml", "../effnet"])
def test_an_unknown_name_is_refused_with_those_there_are(name):
    with pytest.raises(EffnetError, match="allowed are controlled, demo, .*thesis_fast, or the"):
        Profile.load(name)


WRONG = [
    # what is replaced in GOOD, by what, the line of the mistake, words of the message
    ("note: Of a test.\n", "", 3, "note is missing"),
    ("note: Of a test.", "note: [1]", 3, "note is [1]: it must be a text"),
    ("note: Of a test.", "note: A: b", 3, "is no YAML: mapping values are not allowed here"),
    ("seeds: [0, 1]", "seeds: 3", 4, "seeds is 3: it must be a list of different whole numbers"),
    ("seeds: [0, 1]", "seeds: []", 4, "seeds is []"),
    ("seeds: [0, 1]", "seeds: [0, 0]", 4, "seeds is [0, 0]"),
    ("seeds: [0, 1]", "seeds: [0.5]", 4, "seeds is [0.5]"),
    ("seeds: [0, 1]", "seeds: [true]", 4, "seeds is [True]"),
    ("seeds: [0, 1]", "seed: [0, 1]", 4, "unknown key 'seed' in the file: allowed are like, note"),
    ("seeds: [0, 1]", "like: huge", 4, "like is 'huge': allowed are controlled, demo, "),
    ("seeds: [0, 1]", "like: {a: 1}", 4, "like is {'a': 1}: allowed are controlled, demo, "),
    ("image_size: 32", "imagesize: 32", 7, "unknown hyperparameter 'imagesize'; allowed are: reci"),
    ("image_size: 32", "image_size: 8", 7, "image_size is 8: allowed is from 16 to 1024"),
    ("image_size: 32", "image_size: big", 7, "image_size is 'big' (str): it must be a whole num"),
    ("image_size: 32", "recipe: thesis", 7, "'recipe' stands there for the second time"),
    ("image_size: 32", "data_dir: $BIRDS", 7, "data_dir is '$BIRDS': of variables, $STANFORD_CARS"),
    ("image_size: 32", "data_dir: $STANFORD_CARS_FRAMES", 8, "no group has its images: set STANFO"),
    ("trial:\n  recipe: thesis\n  image_size: 32", "trial: 5", 5, "trial is 5: it must be a mapp"),
    ("  scratch_rgb:", "  5:", 9, "the name 5 is no text: write it in quotes"),
    (GOOD[GOOD.index("groups:") :], "groups: {}", 8, "groups is missing"),
    (GOOD[GOOD.index("groups:") :], "groups: [a]", 8, "groups is ['a']: it must be a mapping"),
    (GOOD[GOOD.index("groups:") :], "", 3, "groups is missing"),
    (GOOD[GOOD.index("    trial: {") :], "", 9, "scratch_rgb is None: it must be a mapping"),
    (GOOD[GOOD.index("    grid:") :], "", 9, "scratch_rgb: it has no trial: give it a `grid`"),
    ("trial: {epochs: 2}", "trials: {epochs: 2}", 10, "unknown key 'trials' in scratch_rgb: allo"),
    ("{epochs: 2}", "{epochs: 0}", 10, "group scratch_rgb: epochs is 0: allowed is from 1"),
    ("trial: {epochs: 2}", "keep_weights: 'no'", 10, "keep_weights is 'no': true or false"),
    ("trial: {epochs: 2}", "vary: {epochs: [2]}", 10, "it has a `grid` and something to `vary`"),
    ("trial: {epochs: 2}", "vary: thesis", 10, "it has a `grid` and something to `vary`"),
    ("grid:\n      dropout_rate", "vary:\n      dropout_rate", 12, "there is no dropout_rate to v"),
    ("grid:\n      dropout_rate: [0.0, 0.3]", "vary: thesis", 11, "vary is 'thesis': it must be"),
    ("dropout_rate: [0.0, 0.3]", "dropout_rate: 0.3", 12, "dropout_rate is 0.3: it must be a lis"),
    ("dropout_rate: [0.0, 0.3]", "dropout_rate: []", 12, "dropout_rate is []: it must be a list"),
    ("dropout_rate: [0.0, 0.3]", "dropout_rate:\n        - 0.1\n        - 1.5", 14,
     "group scratch_rgb: dropout_rate is 1.5: allowed is from 0.0 to 0.95"),
    ("dropout_rate: [0.0, 0.3]", "dropout_rate: [0.3, 0.3]", 11,
     "group scratch_rgb: a second trial is called 'scratch_rgb p=0.3'"),
    ("dropout_rate: [0.0, 0.3]", "droput_rate: [0.0]", 12, "unknown hyperparameter 'droput_rate'"),
    ("grid:\n      dropout_rate: [0.0, 0.3]", "grid: [0.3]", 11, "grid is [0.3]: it must be a map"),
    ("dropout_rate: [0.0, 0.3]", "freeze_pretrained_weights: [true]", 11,
     "group scratch_rgb: trial 'scratch_rgb freeze_pretrained_weights=True': freeze_pretrained_w"),
    ("wide: {width_coefficient: 2.0}", "wide: {freeze_pretrained_weights: true}", 14,
     "group scratch_rgb: trial 'wide': freeze_pretrained_weights needs weights"),
    ("plain:", "wide:", 15, "'wide' stands there for the second time"),
    ("plain:", "scratch_rgb p=0.3:", 15, "a second trial is called 'scratch_rgb p=0.3'"),
    ("plain:", "plain: 3", 15, "group scratch_rgb: plain is 3: it must be a mapping"),
    ("plain:", "plain: [", 16, "is no YAML: expected the node content"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("old", "new", "line", "words"), WRONG, ids=[f"{w[2]}: {w[3][:40]}" for w in WRONG]
)
def test_a_mistake_is_named_with_its_line(load, tmp_path, monkeypatch, old, new, line, words):
    monkeypatch.delenv("STANFORD_CARS_FRAMES", raising=False)
    with pytest.raises(EffnetError) as refused:
        load(old, new)
    found = str(refused.value)
    assert words in found and re.match(rf"{tmp_path}/mine.yaml, line {line}\b", found), found


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty: a profile has note, seeds, trial, groups"),
        ("# only this\n", "is empty"),
        ("[1, 2]", r"line 1: the file is \[1, 2\]: it must be a mapping"),
        (b"note: \xff", "is no text in UTF-8"),
        ("note: \0", "is no YAML: (?s:.*)special characters are not allowed"),
    ],
)
def test_what_is_no_profile_at_all(load, text, words):
    with pytest.raises(EffnetError, match=rf"mine.yaml.*{words}"):
        load(text)


VALUES = {
    "bool": [False, True], "int": [1, 3], "float": [0.2, 0.5], "str": ["a", "b"],
}  # fmt: skip
SPECIAL = {
    "data_dir": ["data/demo", "data/demo_smoke"],
    "model_name": ["b0", "timm:ghostnet_100"],
    "weights": [None, "demo"],
    "freeze_pretrained_weights": [False],
    "image_size": [None, 32],
    "n_classes": [None, 3],
    "devices": [1, 4],  # a batch divides by it
    "num_nodes": [1, 2],
}


@pytest.mark.parametrize("field", dataclasses.fields(Trial), ids=lambda field: field.name)
def test_a_grid_over_any_field(load, field):
    """Each value makes a trial that has it, under a name of its own."""
    kind = str(field.type)
    if field.name in SPECIAL:
        values = SPECIAL[field.name]
    elif "Literal" in kind:
        values = re.findall(r"'([^']+)'", kind)
    else:
        name = next(name for name in VALUES if name in kind)
        values = VALUES[name]
    groups = {"mine": {"grid": {field.name: values}}}
    jobs = load(yaml.safe_dump({"note": "x", "groups": groups})).jobs
    assert [job.name for job in jobs] == [
        f"mine {({'dropout_rate': 'p', 'weight_decay': 'wd'}).get(field.name, field.name)}={value}"
        for value in values
    ]
    plain = Trial()
    for job, value in zip(jobs, values, strict=True):
        if value is None:  # filled in
            value = getattr(plain, field.name)
        if value != "checkpoint":  # stands for another
            assert getattr(job.trial, field.name) == value


def test_networks_of_other_libraries_take_what_they_have_of_the_shared_values(load):
    text = (
        "note: x\ntrial: {batch_norm_momentum: 0.1}\ngroups:\n  mine:\n"
        "    grid: {model_name: [b0, 'torchvision:resnet18']}\n"
    )
    assert [job.trial.batch_norm_momentum for job in load(text).jobs] == [0.1, None]
    named = text.replace("grid:", "runs: {r: {model_name: 'timm:ghostnet_100', padding: same}} #")
    with pytest.raises(
        EffnetError, match="line 5: group mine: trial 'r': padding is 'same': timm:"
    ):
        load(named)


def test_the_example_in_contributing(load):
    """As it stands there; it was run."""
    text = (ROOT / "CONTRIBUTING.md").read_text().split("```yaml\n")[1].split("```")[0]
    profile = load(text, name="optimizers")
    assert [job.name for job in profile.jobs] == [
        f"optimizers optimizer={optimizer} augment={augment}"
        for optimizer in ("adamw", "adam")
        for augment in (True, False)
    ]


def test_what_yaml_reads_as_text_is_the_number_or_the_nothing_that_it_means(load):
    jobs = load(
        "dropout_rate: [0.0, 0.3]", "initial_lr: [1e-3, 2e-4]\n      gray_stem: [None]"
    ).jobs
    assert [job.trial.initial_lr for job in jobs][:2] == [1e-3, 2e-4]
    assert [job.name for job in jobs][1] == "scratch_rgb initial_lr=0.0002 gray_stem=None"
    assert {job.trial.gray_stem for job in jobs} == {"refuse"}  # as the recipe fills it in


def test_close_values_have_different_names(load):
    jobs = load("dropout_rate: [0.0, 0.3]", "weight_decay: [0.1000001, 0.1]").jobs
    assert [job.name for job in jobs][:2] == ["scratch_rgb wd=0.1000001", "scratch_rgb wd=0.1"]


def test_like_another_profile(load):
    """Values and groups on top of it; what is wrong is said of the file that it stands in."""
    own = "like: smoke\ntrial: {epochs: 7}\ngroups:\n  scratch_rgb:\n    runs: {one: {}}\n"
    ours, base = load(own), Profile.load("smoke")
    assert ours.note == base.note and list(ours.groups) == list(base.groups)
    for group in base.groups:
        names = [job.name for job in base.jobs if job.group == group]
        assert [job.name for job in ours.jobs if job.group == group] == (
            ["one"] if group == "scratch_rgb" else names
        )
        changed = {"epochs": 7}
        if group == "scratch_rgb":
            changed["dropout_rate"] = 0.2
        assert ours.trial(group) == base.trial(group).replace(**changed)
    with pytest.raises(EffnetError, match=r"^effnet/grid/profiles/smoke.yaml, line 1\d: group pr"):
        load("like: smoke\ntrial: {in_channels: 1}\n")  # which pretrained networks refuse


def test_a_group_without_its_images_is_left_out(load, monkeypatch, tmp_path):
    monkeypatch.delenv("STANFORD_CARS_FRAMES", raising=False)
    text = GOOD + "  whole:\n    grid: {data_dir: [$STANFORD_CARS_FRAMES, data/demo]}\n"
    assert [job.name for job in load(text).jobs if job.group == "whole"][0] == (
        "whole data_dir=data/demo"
    )
    text = text.replace(", data/demo]", "]")
    assert list(load(text).groups) == ["scratch_rgb"]
    monkeypatch.setenv("STANFORD_CARS_FRAMES", str(tmp_path))
    assert load(text).trial("whole").data_dir == str(tmp_path)


def test_the_thesis_s_grid_may_have_more_runs_and_only_its_groups(load):
    both = "note: x\ngroups:\n  scratch_rgb: {grid: thesis, runs: {mine: {}}}\n"
    names = [job.name for job in load(both).jobs]
    assert len(names) == 32 and names[-1] == "mine"
    with pytest.raises(
        EffnetError, match="line 3: group mine: the thesis has a grid of pretrained"
    ):
        load(both.replace("scratch_rgb", "mine"))


def test_a_field_is_varied_around_the_group_s_own_value(load):
    text = (
        "note: x\ntrial: {dropout_rate: 0.2, optimizer: adam}\ngroups:\n  mine:\n"
        "    vary: {dropout_rate: [0.1, 0.2], optimizer: [adamw, adam]}\n"
    )
    found = [(job.trial.dropout_rate, job.trial.optimizer) for job in load(text).jobs]
    assert found == [(0.1, "adam"), (0.2, "adam"), (0.2, "adamw")]


def test_the_kit_s_own_profiles_have_every_trial_once():
    for name in ("controlled", "demo", "laptop", "sample", "smoke", "thesis", "thesis_fast"):
        jobs = Profile.load(name).jobs
        assert len({job.name for job in jobs}) == len({job.trial for job in jobs}) == len(jobs)
