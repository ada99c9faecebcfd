"""Rules about what is kept, what they decide, and runs that remove the rest."""
