from stego_cli.palette import palette


def test_colours_are_distinct_valid_and_none_is_black():
    colours = palette(256)
    assert len(set(colours)) == 256
    assert (0, 0, 0) not in colours
    assert all(0 <= channel <= 255 for colour in colours for channel in colour)


def test_a_class_has_the_same_colour_however_many_classes_there_are():
    for classes in range(257):
        assert palette(classes) == palette(256)[:classes]
