"""Evaluations: cases against an agency, judged by code or by a model. See README.md."""
