import pytest

from keras_cct.errors import InputError
from keras_cct.recipe.strict_yaml import MAX_BYTES, parse_yaml, read_yaml_file

BILLION_LAUGHS = "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: 1\nb: [0.5, true, null]\nc: {d: 'e'}", {"a": 1, "b": [0.5, True, None], "c": {"d": "e"}}),
        ("a: 55e-5", {"a": "55e-5"}),
        ("a: 2001-99-99\nb: 2001-12-24", {"a": "2001-99-99", "b": "2001-12-24"}),
        ("", None),
    ],
)
def test_plain_values_are_read_and_dates_are_strings(text, value):
    assert parse_yaml(text, "it") == value


@pytest.mark.parametrize(
    "text",
    [
        "a: [",
        pytest.param("a: " + "9" * 5000, id="digits"),
        pytest.param("[" * 5000, id="deep list"),
        pytest.param("? " * 3000, id="deep keys"),
        BILLION_LAUGHS,
        pytest.param("a: 1" + ":9" * 5000 + ".5", id="sexagesimal"),
        "a: &a [*a]",
        "a: !!python/object/apply:os.system [ls]",
        "a: !!timestamp x",
        "a: !!bool x",
        "a: !!int ''",
        "a: 0b_",
        "a: 1\na: 2",
        "a: {b: 1, b: 2}",
        "[1]: 2",
        "<<: 3",
        "a: =",
        "a: \x00",
        "---\na: 1\n---\na: 2",
    ],
)
def test_every_failure_is_one_line_that_names_the_file(text):
    with pytest.raises(InputError, match="^config.yml is not valid YAML: ") as error:
        parse_yaml(text, "config.yml")
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 500


def test_files_that_are_too_large_or_not_text_are_refused(tmp_path):
    path = tmp_path / "large.yml"
    path.write_text("#" * (MAX_BYTES + 1))
    with pytest.raises(InputError, match=f"large.yml' has more than {MAX_BYTES} bytes"):
        read_yaml_file(path)
    path.write_bytes(b"a: \xff")
    with pytest.raises(InputError, match="large.yml' is not valid YAML: .*UTF-8"):
        read_yaml_file(path)
