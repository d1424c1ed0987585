"""What a set of overridden parameters is called: a folder of its own, on every disk."""

import itertools
import os
import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from effnet.report.parameters import label

VALUES = st.one_of(
    st.text(st.characters(exclude_categories=())), st.integers(), st.floats(), st.booleans()
)


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
