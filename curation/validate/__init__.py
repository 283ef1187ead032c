"""Checks on images and labels."""
