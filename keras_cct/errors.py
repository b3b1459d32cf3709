"""The one error type that means "the input is wrong", so that the command line can tell it from a defect."""


class InputError(ValueError):
    """A value, file or name from the user cannot be used; the message says what is allowed instead."""
