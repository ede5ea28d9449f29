"""Exported files, run without torch: what they say of themselves, who runs them, pictures of any size, the demo."""
