"""Pictures and videos, in and out, without torch: what is one, how it is read, what is shown of predictions."""
