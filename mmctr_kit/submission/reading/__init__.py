"""Reading a submission: the zip and the CSV in it."""
