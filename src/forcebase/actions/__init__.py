"""Use cases: what is there is found, what is missing is a flow, run here or by jobflow-remote.

Each action publishes its inputs, runs one flow here, collects, and gives the record.
"""
