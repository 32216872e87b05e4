"""What is installed, what it may use, and whether it works: `stego doctor`."""
