"""Templates: folders of YAML files with jinja2, bounded and checked when they are loaded."""
