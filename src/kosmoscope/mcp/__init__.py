"""The model's verbs as tools for assistants that speak the Model Context Protocol (extra ``mcp``).

folders    which files may be looked at
tools      the verbs, as tools
process    one model, over standard input and output
"""

from kosmoscope.mcp.folders import Folders
from kosmoscope.mcp.process import serve

__all__ = ["Folders", "serve"]
