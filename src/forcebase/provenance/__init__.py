"""Where records come from, and what was made from them."""

from forcebase.provenance.graph import Lineage, trace_down, trace_up
from forcebase.provenance.naming import made_by, sources_of
from forcebase.provenance.steps import parents

__all__ = ["Lineage", "made_by", "parents", "sources_of", "trace_down", "trace_up"]
