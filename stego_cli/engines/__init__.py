"""Where the photographs of a run are worked on: in this process, or by workers on the machines of a cluster.

An engine is a module with `masks(work, items, stopped)`, and its row in `table.ENGINES`. Whatever the engine, the work
itself is that of `inference.pipeline`, done by a `Worker` of `worker`.
"""
