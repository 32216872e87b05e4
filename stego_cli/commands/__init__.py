"""One module a subcommand: parse, build one frozen settings object, call the library, show the result.

Heavy imports stand inside the functions, so that `stego --help` needs none of them.
"""
