"""The one error type that means "the input is wrong", so that the command line can tell it from a defect."""


class InputError(ValueError):
    """A value, file or name from the user cannot be used; the message says what is allowed instead."""


def check_setting(key: str, value: object, is_good: bool, allowed: str) -> None:
    """Raises InputError, naming the key, its value and what is allowed, unless `is_good`."""
    if not is_good:
        raise InputError(f"{key}={value!r} is out of range. It must be {allowed}.")
