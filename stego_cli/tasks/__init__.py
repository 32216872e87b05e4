"""What a user asks for as a whole: plain functions that take settings and a Progress, and return a result."""
