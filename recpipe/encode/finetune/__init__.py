"""How the encoder itself is taught, on the texts of episodes."""

from recpipe.encode.finetune.config import Config
from recpipe.encode.finetune.run import finetune

__all__ = ["Config", "finetune"]
