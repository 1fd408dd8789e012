"""The skill ``storage``, and the places where files lie."""
