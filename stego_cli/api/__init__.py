"""The public Python API, a module for each name of `stego_cli`. A function calls the task that its command calls."""
