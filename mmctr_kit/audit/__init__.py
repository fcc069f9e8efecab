"""Checks of a data folder: is it complete and sane, and does anything leak?"""
