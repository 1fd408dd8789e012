"""What of a request is changed so that its vendor takes it; where it says something else then, the answer says so."""
