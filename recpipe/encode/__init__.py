"""Text becomes vectors: an encoder from a local folder, and a cache by content."""

from recpipe.encode.encoder import Encoder, load_encoder

__all__ = ["Encoder", "load_encoder"]
