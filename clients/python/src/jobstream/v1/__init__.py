"""The generated messages and stubs of the API, made by `run generate`."""
