"""The filter language: OPTIMADE's grammar over the fields of each collection.

`language` turns text into a MongoDB query and imports optimade, so it is imported where a text is
given. All else of a filter is here without it.
"""
