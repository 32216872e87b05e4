import numpy as np

from stego_cli.doctor.sample_models import COLOURS, colour_model, transformer_model
from stego_cli.inference.session import Session


def test_the_colour_model_knows_its_colours():
    session = Session.from_bytes(colour_model(), "cpu")
    assert session.info.class_names == tuple(COLOURS)
    for index, colour in enumerate(COLOURS.values()):
        picture = np.full((1, 28, 42, 3), colour, np.uint8)
        assert (session.log_probs(picture).argmax(1) == index).all()


def test_the_transformer_gives_log_probabilities_that_depend_on_the_whole_picture():
    session = Session.from_bytes(transformer_model(56, 84, 5), "cpu")
    picture = np.random.default_rng(0).integers(0, 256, (1, 56, 84, 3), np.uint8)
    before = session.log_probs(picture)
    assert before.shape == (1, 5, 56, 84)
    np.testing.assert_allclose(np.exp(before).sum(1), 1, atol=1e-5)
    picture[:, :14, :14] = 255 - picture[:, :14, :14]
    assert np.abs(session.log_probs(picture) - before)[..., -14:, -14:].max() > 1e-6  # a far corner: attention works
