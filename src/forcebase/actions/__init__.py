"""What the command line and the main job do: one step each, found again when it was done before.

Each action publishes its inputs, runs one flow here, collects, and gives the record.
"""
