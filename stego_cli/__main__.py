"""`python -m stego_cli` and the console script `stego`."""

from __future__ import annotations


def main() -> None:
    """Run the command line; ends the process with one of the documented exit codes."""
    from stego_cli.app import app
    from stego_cli.machine import calm_threads

    calm_threads()
    app(prog_name="stego")


if __name__ == "__main__":
    main()
