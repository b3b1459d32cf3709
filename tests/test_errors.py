import numpy as np
import pytest

from keras_cct.errors import (
    MAX_MESSAGE_LENGTH,
    InputError,
    check_class_names,
    check_count,
    check_rate,
    check_setting,
    is_number,
)


def test_counts_are_integers_of_at_least_1():
    count = check_count("size", np.int64(3))
    assert (count, type(count)) == (3, int)
    for value in (0, -1):
        with pytest.raises(InputError, match=f"size must be at least 1, got {value}"):
            check_count("size", value)
    for value in (1.5, True, "3", None):
        with pytest.raises(InputError, match=f"size must be an integer, got {value!r}"):
            check_count("size", value)


def test_rates_are_numbers_from_0_to_below_1():
    rate = check_rate("rate", np.float32(0.5))
    assert (rate, type(rate)) == (0.5, float)
    assert check_rate("rate", 0) == 0
    for value in (1, -0.1, float("nan"), True, "0.1", 10**400):
        with pytest.raises(InputError) as error:
            check_rate("rate", value)
        assert str(error.value) == f"rate must be a number in [0, 1), got {value!r}."


def test_settings_are_checked_with_their_key_and_value():
    check_setting("scale", 2, True, "above 1")
    with pytest.raises(InputError, match="scale must be above 1, got 1"):
        check_setting("scale", 1, False, "above 1")


@pytest.mark.parametrize(("value", "expected"), [(1, True), (np.float64(2), True), (True, False), ("1", False)])
def test_numbers_are_finite_and_not_booleans(value, expected):
    assert is_number(value) is expected
    assert not is_number(float("inf"))
    assert not is_number(float("nan"))
    assert not is_number(10**400)


def test_class_names_are_single_line_strings():
    assert check_class_names(["ant", "bee"], 2) == ("ant", "bee")
    for names in (["ant", "b\nee"], ["ant", ""], "ab", [1, 2]):
        with pytest.raises(InputError, match="class_names must be a list of single-line strings"):
            check_class_names(names, 2)
    with pytest.raises(InputError, match="class_names has 1 names for 2 classes"):
        check_class_names(["ant"], 2)


def test_messages_are_one_printable_line_of_bounded_length():
    assert (
        str(InputError("'x'  has\n  2 lines\r\nand\x1b[31m a \udcff name."))
        == "'x'  has 2 lines and\\x1b[31m a \\udcff name."
    )
    message = str(InputError(f"start {'x' * 10_000} end"))
    assert len(message) <= MAX_MESSAGE_LENGTH
    assert message.startswith("start x")
    assert message.endswith("x end")


@pytest.mark.parametrize("name", ["a\x1b[2J", "a\0", "a\tb", "a\x7f", "a\x9b2J", "a\nb", ""])
def test_class_names_have_no_control_characters(name):
    with pytest.raises(InputError, match="without control characters"):
        check_class_names([name], 1)
    assert check_class_names(["élan 猫 \N{ZERO WIDTH JOINER}"], 1) == ("élan 猫 \N{ZERO WIDTH JOINER}",)
