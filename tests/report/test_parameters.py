"""Parameters of notebooks: what of a kernel's history counts, and what a set of them is called."""

import ast
import itertools
import os
import re
import unicodedata

import nbformat
import pytest
from hypothesis import given
from hypothesis import strategies as st

from effnet.errors import EffnetError
from effnet.report import runner
from effnet.report.chapters import chapters
from effnet.report.parameters import check_names, label, set_in_cells, settle
from effnet.report.session import Session
from effnet.trial import Trial, check_tracker, field_help

VALUES = st.one_of(
    st.text(st.characters(exclude_categories=())), st.integers(), st.floats(), st.booleans()
)


NOTEBOOKS = {path.stem: nbformat.read(path, as_version=4) for path in chapters()}
CELL = NOTEBOOKS["03_train_pretrained"].cells[1].source
# Papermill's cell, as its translator writes it.
INJECTED = '# Parameters\nprofile = "smoke"\ndropout_rate = 0.3\n'


def edited(**lines):
    """The parameters cell of notebook 03 with other lines; None removes one."""
    cell = CELL
    for name, line in lines.items():
        cell, count = re.subn(rf"^{name}:.*\n?", f"{line}\n" if line else "", cell, flags=re.M)
        assert count == 1
    return cell


def kernel(*cells):
    """What a kernel knows that has run these cells; those that fail leave their text alone."""
    namespace = {"In": [""]}
    for cell in cells:
        namespace["In"].append(cell)
        try:
            exec(cell, namespace)
        except (SyntaxError, ZeroDivisionError):
            pass
    return namespace


def overrides(*cells):
    return settle(set_in_cells(kernel(*cells), "03_train_pretrained"))[0]


PLAIN = edited(epochs="epochs = 1")
ONE = {"epochs": 1}


@pytest.mark.parametrize(
    ("cells", "found"),
    [
        ([CELL], {}),
        ([PLAIN], ONE),
        ([edited(profile='profile = "smoke"', epochs="epochs: int = 1")], ONE),
        ([edited(profile="profile = 'smoke'", epochs="epochs = 1")], ONE),
        (['profile = "smoke"\nepochs = 1\nseed = None'], ONE),
        ([edited(epochs="lr_factor = 0.2")], {"lr_factor": 0.2}),
        ([edited(epochs="epochs = 2 * 3\nepochs += 1")], {"epochs": 7}),
        ([edited(seed="epochs = seed = 4")], {"epochs": 4, "seed": 4}),
        ([edited(epochs="if 1 < 2:\n    epochs = 5\nelse:\n    epochs = 6")], {"epochs": 5}),
        (
            [edited(more='more = {"seed": 3}\nmore["lr_factor"] = 0.2')],
            {"seed": 3, "lr_factor": 0.2},
        ),
        # What ran before the last execution does not count, whatever the kernel still knows.
        ([PLAIN, CELL], {}),
        ([PLAIN, edited(epochs=None)], {}),
        ([PLAIN, edited(epochs="epochs = 2")], {"epochs": 2}),
        ([PLAIN, "epochs = 3", PLAIN], ONE),
        (["epochs = 3\nweights = 'w'", PLAIN], ONE),
        (["profile = 'demo'", PLAIN], ONE),
        ([CELL, PLAIN, "epochs = ", "profile: str = 'smoke"], ONE),
        ([edited(epochs="epochs = 3 0"), PLAIN], ONE),
        ([PLAIN, "print('profile')", "weights_of = 1"], ONE),
        # Papermill's cell counts where it ran below the parameters cell, the last one.
        ([CELL, INJECTED], {"dropout_rate": 0.3}),
        ([PLAIN, INJECTED], {"dropout_rate": 0.3, **ONE}),
        ([CELL, INJECTED, PLAIN], ONE),
        ([CELL, "# Parameters\nseed = 3", CELL, INJECTED], {"dropout_rate": 0.3}),
        ([CELL, "# Parameters\nlr_factor = 0.2"], {"lr_factor": 0.2}),  # papermill only warns
        ([CELL, '# Parameters\nmore = {"lr_factor": 0.2}'], {"lr_factor": 0.2}),
        ([CELL, '# Parameters\nmore = "{lr_factor: 0.2}"'], {"lr_factor": 0.2}),
        ([f"# Parameters\n{PLAIN}"], ONE),
    ],
)
def test_what_counts_is_the_last_execution_of_the_parameters_cell(cells, found):
    assert overrides(*cells) == found


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        ([PLAIN, "epochs = 3"], ["epochs is 3 by now, but 1 in the parameters cell", "run that"]),
        ([PLAIN, 'profile = "smoke"'], ["profile is 'smoke' by now, but 'demo'"]),
        ([PLAIN, 'more["seed"] = 3'], ["more is {'seed': 3} by now, but {}"]),
        ([CELL, edited(profile=None, epochs="epochs = 1")], ["epochs is 1 by now, but None in"]),
        ([edited(epochs="droput_rate = 0.3")], ["'droput_rate'", "dropout_rate, "]),
        ([edited(epochs="droput_rate: float = 0.3")], ["'droput_rate'", "dropout_rate, "]),
        ([CELL, "# Parameters\ndroput_rate = 0.3"], ["'droput_rate'", "03_train", "dropout_rate,"]),
        (["epochs = 1"], ["run the parameters cell"]),
        ([edited(more=None), "# Parameters\nlr_factor = 0.3"], ["no parameter 'lr_factor'"]),
    ],
)
def test_nothing_that_was_set_is_ignored_without_a_word(cells, words):
    with pytest.raises(EffnetError) as error:
        overrides(*cells)
    for word in words:
        assert word in str(error.value)


@pytest.mark.parametrize("name", [name for name in NOTEBOOKS if name[:2] in ("03", "04", "06")])
def test_every_field_of_a_trial_is_a_parameter(name):
    source = NOTEBOOKS[name].cells[1].source
    declared = settle(set_in_cells(kernel(source), name))[0]
    values = Trial(holdout=0.3, lr_factor=0.3, weights=None).values()
    for field in field_help():
        if values[field] is None or field in declared:
            continue
        line = f"\n{field} = {values[field]!r}"
        in_more = f"\nmore = {{{field!r}: {values[field]!r}}}"
        ways = [[source + line], [source + in_more], [source, "# Parameters" + line],
                [source, "# Parameters" + in_more],
                [source, f"# Parameters\nmore = '{{{field}: {values[field]}}}'"]]  # fmt: skip
        found = [settle(set_in_cells(kernel(*cells), name))[0] for cells in ways]
        assert all(one == {**declared, field: values[field]} for one in found), field
        assert len({label(one) for one in found}) == 1


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_no_later_cell_changes_a_parameter(name):
    """Or running the second cell again would be refused."""
    cells = [cell.source for cell in NOTEBOOKS[name].cells if cell.cell_type == "code"]
    declared = set(set_in_cells(kernel(cells[0]), name))
    later = [node for cell in cells[1:] for node in ast.walk(ast.parse(cell))]
    stored = {n.id for n in later if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    assert not declared & stored


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"epochs": 2, "more": {"epochs": 3}}, ["epochs is given twice: 2, and 3 in `more`"]),
        ({"more": {"lr_facter": 0.1}}, ["'lr_facter'", "lr_factor"]),
        ({"more": {"tracker": "neptune"}}, ["'tracker'"]),
        ({"more": {1: 2}}, ["unknown hyperparameter 1"]),
        ({"more": [1]}, ["more is [1]: it must be a mapping"]),
        ({"more": "{a"}, ["more is no YAML"]),
        ({"more": "3"}, ["more holds 3"]),
        ({"more": "{1: 2}"}, ["more holds {1: 2}"]),
        ({"more": {"lr_factor": 2}}, ["lr_factor is 2.0", "0.999"]),
    ],
)
def test_more_is_checked_like_the_rest(values, words):
    with pytest.raises(EffnetError) as error:
        settle(values)
    for word in words:
        assert word in str(error.value)


def test_nothing_by_any_name_leaves_the_profiles_value():
    for nothing in (None, "none", "None", "NULL", "null"):
        values = {"weights": nothing, "epochs": nothing, "tracker": nothing}
        assert settle(values | {"more": {"lr_factor": nothing}}) == ({}, "none")
        assert settle({"more": nothing, "crop": "none"}) == ({"crop": "none"}, "none")
        assert settle({"epochs": 2, "more": {"epochs": nothing}})[0] == {"epochs": 2}
    with pytest.raises(EffnetError, match="normalization is 'none': allowed are 'thesis'"):
        settle({"normalization": "none"})


def test_one_set_has_one_folder_however_it_was_written():
    ways = [{"epochs": 2, "initial_lr": 1e-3, "augment": False},
            {"augment": "false", "more": {"epochs": 2.0, "initial_lr": "1e-3"}},
            {"more": "{augment: no, initial_lr: 0.001, epochs: '2'}", "seed": None}]  # fmt: skip
    assert {label(settle(values)[0]) for values in ways} == {
        "augment=False,epochs=2,initial_lr=0.001"
    }
    sessions = [Session("smoke", "03_train_pretrained", "pretrained", *settle(v)) for v in ways]
    assert len({str(session) for session in sessions}) == 1
    assert len({session.trial for session in sessions}) == 1


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("epochs", "1e400", "float('inf')"),
        ("epochs", str(10**30), "10**30"),
        ("epochs", "True", "True"),
        ("dropout_rate", "nan", "float('nan')"),
        ("initial_lr", "-1e-3", "-1e-3"),
        ("in_channels", "2", "2"),
        ("normalization", "none", "'none'"),
        ("weights", "lost.pth", "'lost.pth'"),
        ("model_name", "timm", "'timm'"),
        ("tracker", "", "''"),
        ("tracker", "comet", "'comet'"),
    ],
)
def test_a_wrong_value_is_refused_in_the_same_words_everywhere(name, text, value, monkeypatch):
    monkeypatch.setattr("papermill.execute_notebook", lambda *_, **__: pytest.fail("went on"))

    def said(call, *arguments, **options):
        with pytest.raises(EffnetError) as error:
            call(*arguments, **options)
        return str(error.value)

    source = edited(profile="profile = 'smoke'")
    lab = [kernel(f"{source}\n{name} = {value}"), kernel(source, f"# Parameters\n{name} = {value}")]
    messages = {said(Session.open, one, "03_train_pretrained", "pretrained") for one in lab}
    messages |= {said(runner.run_notebook, "03", "smoke", **{name: eval(value)})}
    for option in (["-p", name, text], ["-y", f"{{{name}: {text or repr(text)}}}"]):
        monkeypatch.setattr("sys.argv", ["runner", "03", "--profile", "smoke", *option])
        messages |= {said(runner.main)}
    if name == "tracker":
        messages |= {said(check_tracker, eval(value))}
    else:
        messages |= {said(Trial.make, {name: eval(value)})}
    assert len(messages) == 1 and messages.pop().startswith(f"{name} is ")


def test_options_are_those_of_papermill(tmp_path, monkeypatch):
    """The kernel gets checked values, those that the cell does not list in `more`."""
    executed = []
    monkeypatch.setattr(runner, "_execute", lambda *given: executed.append(given))
    (tmp_path / "p.yaml").write_text("epochs: 9\nlr_factor: 0.5\nmore: {seed: 3}\n")
    options = "-r weight_decay 1e-3 -p batch_norm_eps 1e-5 -p tracker none -p weights none"
    options += f" -f {tmp_path}/p.yaml -p epochs 1"
    words = [*options.split(), "-y", "{lr_factor: 0.2, epochs: 2, augment: false}"]
    monkeypatch.setattr("sys.argv", ["runner", "03", "--profile", "smoke", *words])
    runner.main()
    own = {"profile": "smoke", "epochs": 1, "weight_decay": 0.001, "augment": False, "seed": 3}
    assert executed.pop()[2] == own | {"more": {"lr_factor": 0.2, "batch_norm_eps": 1e-5}}
    # None in place of a value that the cell has.
    monkeypatch.setattr("sys.argv", ["runner", "06", *"--profile smoke -p weights none".split()])
    runner.main()
    assert executed.pop()[2] == {"profile": "smoke", "weights": None}
    for words, what in (
        (["-f", str(tmp_path / "no.yaml")], "no.yaml cannot be read: No such file"),
        (["-y", "[1"], r"-y \[1 is no YAML"),
        (["-y", "3"], "-y 3 holds 3"),
        (["-p", "name", "3"], "no parameter 'name'"),
        (["-p", "show", "3"], "no notebook has a parameter 'show'"),
    ):
        monkeypatch.setattr("sys.argv", ["runner", "03", *words])
        with pytest.raises(EffnetError, match=what):
            runner.main()


def test_a_notebook_without_more_takes_what_it_lists():
    with pytest.raises(EffnetError, match="no parameter 'epochs'; allowed are: profile, seed."):
        check_names({"epochs"}, {"profile", "seed"}, "02")
    check_names({"epochs"}, {"profile", "seed", "more"}, "03")


def test_a_grayscale_trial_has_its_own_group():
    gray = Session("smoke", "04_train_scratch", "scratch_rgb", {"in_channels": 1}, "none")
    assert gray.group == "scratch_gray" and gray.trial.in_channels == 1
    rgb = Session("smoke", "04_train_scratch", "scratch_rgb", {"in_channels": 3}, "none")
    assert rgb.group == "scratch_rgb"


def test_plain_values_stay_readable():
    assert label({"epochs": 1, "dropout_rate": 0.45}) == "dropout_rate=0.45,epochs=1"
    assert label({"weights": "demo", "augment": False}) == "augment=False,weights=demo"
    assert label({"data_dir": "/data/My Birds"}).startswith("data_dir=-data-My-Birds~")


def test_no_two_sets_share_a_folder():
    values = ["a/b", "a-b", "a\\b", "A/B", "a:b", "1", 1, 1.0, "1.0", "True", True, "true", "..",
              ".", "a.", "a", "A", "a ", "a\0", "a,b=c", "é", "e\u0301", "", "x" * 300,
              "x" * 299 + "y", float("nan"), "nan", "../../..", "~", "/" * 300]  # fmt: skip
    sets = [{"data_dir": value} for value in values]
    sets += [{"data_dir": "a", "b": "c"}, {"data_dir": "a,b=c", "b": "c"}]
    folders = {folded(label(one)) for one in sets}
    assert len(folders) == len(sets)


@given(st.lists(st.dictionaries(st.sampled_from(["epochs", "weights"]), VALUES, min_size=1)))
def test_labels_are_names_that_every_disk_takes(sets):
    labels = {repr(sorted(one.items())): label(one) for one in sets}
    for one, other in itertools.combinations(labels.values(), 2):
        assert folded(one) != folded(other)
    for name in labels.values():
        assert len(os.fsencode(name)) <= 100 and name.isprintable() and name.isascii()
        assert not set(name) & set('/\\:*?"<>| \0') and name[0] not in ".-~" and name[-1] != "."


def folded(name):
    """As a disk that does not tell capitals or forms of accents apart would compare it."""
    return unicodedata.normalize("NFKD", name).casefold()
