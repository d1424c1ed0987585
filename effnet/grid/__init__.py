"""Profiles, and the training of all their trials, several at once.

A profile is one YAML file in `profiles/`. The verdicts and the report may import it.
"""
