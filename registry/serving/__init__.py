"""The HTTP server: gunicorn's threaded worker, with slow clients kept away from the threads of quick requests.

A connection costs a thread only while a request runs. Heads are gathered by the poller; small requests run on a
few threads that never wait for a client; uploads and downloads each have threads of their own.
"""
