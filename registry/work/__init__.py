"""What runs beside the requests: jobs, their queue, and the worker."""
