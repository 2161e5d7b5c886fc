"""What the documents of the API are generated from: one table of operations, and the code itself.

`scripts/docs.py` writes gateway/docs/openapi.json and gateway/docs/asyncapi.json from here.
"""
