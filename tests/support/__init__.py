"""What tests of several rooms share; `from tests.support...` works wherever pytest is started."""
