"""Profiles, and the training of all their trials, several at once: on this machine
(`train`, `workers`) or on Ray (`cluster`), which share `Grid` and `effnet.train.run`.

A profile is one YAML file in `profiles/`. The verdicts and the report may import it.
"""
