"""One module a subcommand: parse, build one frozen settings object, call one task, show the result.

Heavy imports are inside the functions, so that `stego --help` needs none of them.
"""
