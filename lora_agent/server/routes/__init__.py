"""The paths of the API, one module a resource. Each reads a request, has a job do the work, writes the answer."""
