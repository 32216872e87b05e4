"""What the checks share with the tests."""

from tests.conftest import photos_folder, real_weights, stego, tiny_model

__all__ = ["photos_folder", "real_weights", "stego", "tiny_model"]
