"""What pictures are made of: the records, and what charts share to fill them."""
