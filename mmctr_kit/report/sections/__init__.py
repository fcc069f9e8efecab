"""The sections of a report's page; each function makes one, or None where there is nothing."""
