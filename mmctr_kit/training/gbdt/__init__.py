"""The boosted model: its features and its learner."""
