"""An error below the commands names settings; a command shows flags, Python keywords."""

import pickle

from stego_cli.errors import OutputError, Stopped, UsageError, setting


def flag(name, value):
    return f"--{name}" if value is None else f"--{name} {value}"


def test_the_setting_that_an_error_is_about_stands_before_its_message():
    error = UsageError("must be 2 to 256, got 1", field="classes")
    assert error.told(flag) == ("--classes: must be 2 to 256, got 1", "")
    assert str(error) == "classes: must be 2 to 256, got 1"


def test_settings_in_a_text_are_shown_as_the_reader_writes_them_and_the_remedy_belongs_to_the_text():
    error = OutputError("{classes} --out exists.", f"Give {setting('overwrite', True)}, or {setting('out', 'b c')}.")
    assert error.told(flag) == ("{classes} --out exists.", "Give --overwrite True, or --out b c.")
    assert str(error) == "{classes} --out exists. Give overwrite=True, or out='b c'."
    assert (error.message, error.remedy) == ("{classes} --out exists.", "Give overwrite=True, or out='b c'.")


def test_an_error_without_a_remedy_is_its_message():
    assert str(UsageError("That cannot be.")) == "That cannot be."


def test_an_error_comes_out_of_another_process_as_it_went_in():
    for error in (UsageError("wrong", f"leave out {setting('res')}", field="res"), Stopped(143, "Stopped.", "Go on.")):
        copy = pickle.loads(pickle.dumps(error))
        assert (type(copy), str(copy), copy.exit_code, copy.field) == (
            type(error),
            str(error),
            error.exit_code,
            error.field,
        )
