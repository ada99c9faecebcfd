"""What the tests know of the S3 service in this process."""

BUCKET = "blobs"
# The service takes parts of any size, and quick tests want small ones.
MIB = 16 * 1024
LONG = 9 * MIB


def left(bucket):
    """Return what the bucket holds of one test: objects and open multipart uploads."""
    return names(bucket), [name for name, _, _ in bucket.listed_multiparts()]


def names(bucket, prefix=""):
    """Return the names of the bucket's objects."""
    return [name for name, _, _ in bucket.listed(prefix)]
