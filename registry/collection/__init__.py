"""Online collection: what nothing keeps any more goes, beside everything else that runs."""
