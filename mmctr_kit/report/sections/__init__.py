"""Sections of a report's page, each a function of the context; None if there is nothing to show."""
