"""How the encoder itself is taught, on the texts of episodes."""

from recpipe.encode.finetune.run import Config, finetune

__all__ = ["Config", "finetune"]
