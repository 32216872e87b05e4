"""What a user asks for as a whole; takes settings and a Progress, and prints nothing."""
