"""What the server of `forked` imports before the first process forks from it; torch imports the last two when used."""

import tensorboardX  # noqa: F401
import torch._dynamo  # noqa: F401

import train  # noqa: F401
