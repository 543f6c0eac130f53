"""One model, served over HTTP to programs that speak one of several protocols (extra ``server``).

settings    what a server may be told
failures    error -> status and JSON
pictures    base64, files and ids -> pictures; those that are kept encoded
fetching    pictures from public addresses, if that is allowed
worker      the one thread that runs the model
desk        requests meet the model
bodies      JSON and multipart, within limits
verbs       plain words -> what is asked for
chat        what chats have in common
native, openai, ollama, photoprism, labelstudio    the protocols
labelstudio_config, _files, _results    of the last: what is asked, pictures, answers
given       results that are sent back
exporting   results as files
drawing     annotated pictures
website     the page at /, of the files in page/
streaming   answers piece by piece
schema      the OpenAPI document's types
unread      what becomes of a body that nobody reads
door        tokens, room, the access log
app         the routes, put together
metrics     what is counted
process     listening, signals, the end
"""

from kosmoscope.server.process import guarded, serve
from kosmoscope.server.settings import PORT, Settings

__all__ = ["PORT", "Settings", "guarded", "serve"]
