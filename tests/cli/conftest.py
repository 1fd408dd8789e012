from .stores import place as place
