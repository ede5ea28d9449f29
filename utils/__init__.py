"""One subject a file: distributed, checkpoint, metrics, log, visualize, sinks, report, memory."""
