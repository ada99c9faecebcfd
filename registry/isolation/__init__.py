"""What plugins may do to the registry, and what is done about it: health, blocks, and what dead processes left."""
