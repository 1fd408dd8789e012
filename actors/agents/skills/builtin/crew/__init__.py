"""The skill ``crew``, and the program that runs a crew."""
