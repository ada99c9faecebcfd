"""What an operator has the whole registry do."""
