"""The v2 API: views that translate a request, call one service and build the answer."""
