"""What plugins are handed to work with, over the services of one app."""
