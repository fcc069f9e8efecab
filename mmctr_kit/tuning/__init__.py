"""Tuning: an Optuna search over a recipe's keys whose reported score is not too optimistic.

A *trial* is a recipe with some keys changed, cross-validated on the study's folds with one seed;
its value is the mean fold AUC less its standard error. The best few are trained again with new
seeds, as ordinary runs. Of these *finalists* the one with the best OOF is chosen, and its AUC on
the official valid rows, which no choice has used, is the one reported. Design: section 6.
"""
