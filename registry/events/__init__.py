"""What happened: events are written with what they tell of, put in order, and told to observers."""
