"""What tools take and give: type hints and docstrings made into schemas, and arguments checked against them."""
