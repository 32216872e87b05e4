"""What the checks share with the tests."""

from tests.conftest import photos_folder, real_weights, tiny_model
from tests.faults.conftest import journal, many, original_many, start
from tests.gallery.conftest import make_masks

__all__ = ["journal", "make_masks", "many", "original_many", "photos_folder", "real_weights", "start", "tiny_model"]
