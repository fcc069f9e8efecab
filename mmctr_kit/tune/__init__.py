"""Tuning: a search over a recipe's keys on Optuna, that does not fool its user.

A *trial* is a recipe with some keys changed, cross-validated on the study's folds with one seed;
its value is the mean fold AUC less its error. The best few are trained again with new seeds, as
ordinary runs: of those *finalists* the one with the best OOF is chosen, and its score on the
official valid rows, which chose nothing, is the one reported. Design: section 6.
"""
