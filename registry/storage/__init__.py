"""Where blobs live: drivers for plain files, S3 and memory."""
