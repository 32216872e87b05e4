"""What was found, to be looked at, named, joined and handed on."""
