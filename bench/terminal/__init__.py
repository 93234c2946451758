"""What passes between the program and the person at the terminal, and what is said of bad input."""
