"""Looks at a deployment from the outside, and says in words what is wrong and what to do.

A check is a function that takes a `System` and returns findings; `checks.ALL` lists them.
"""
