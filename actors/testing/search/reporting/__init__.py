"""What is made of a run that failed: the smallest that does, its report, what is raised."""
