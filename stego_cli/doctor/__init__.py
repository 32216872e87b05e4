"""What is installed, what this machine offers, and whether it works (`stego doctor`)."""
